"""Reads a source's feed: one answer, resumable by the count of entries read of it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched, Request
from astralytiq.core.settings import Settings
from astralytiq.engines.etl import compressed
from astralytiq.engines.etl.feeds import Feed, feed_of

from .batches import Batch, Position
from .calls import Calls
from .read_api import fetcher_of, signed
from .schemas import RssSource

# A parser of whatever people call a feed takes about a second for each megabyte.
MOST_BYTES = 16 << 20
ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json, */*;q=0.5"


async def rss_batches(
    settings: Settings, source: RssSource, position: Position | None, calls: Calls
) -> AsyncIterator[Batch]:
    async with fetcher_of(settings, source, calls) as fetcher:
        headers, params = signed(settings, source, calls.secret)
        headers = {"accept": ACCEPT} | {name.lower(): value for name, value in headers.items()}
        headers |= {} if position else calls.conditions(source.url)
        answer = await fetcher.fetch(source.url, Request(headers=headers), params)
    if answer.status == 304:
        calls.unchanged = True
        return
    calls.learn(source.url, answer.headers)
    found = await asyncio.to_thread(opened, source, answer)
    if found.feed.fault:
        words = f"The feed is not well-formed: {found.feed.fault}. What can be read is read."
        calls.note("ill_formed", words, {"reason": found.feed.fault})
    for batch in slices(found, position or {}, source.batch_size):
        yield batch


@dataclass(frozen=True)
class Opened:
    """A feed, and the SHA-256 of the answer that held it."""

    feed: Feed
    digest: str


def opened(source: RssSource, answer: Fetched) -> Opened:
    words = shown(parsed(source.url))
    if len(answer.body) > MOST_BYTES:
        raise Invalid(f"{words} answers more than {MOST_BYTES >> 20} MB: ask for fewer entries.")
    try:
        body = compressed.whole(answer.body, MOST_BYTES)
        feed = feed_of(body, answer.url, answer.headers.get("content-type", ""))
    except compressed.Damaged as fault:
        raise Invalid(f"The answer of {words} cannot be read: {fault}.") from None
    except ValueError as fault:
        raise Invalid(f"{words} {fault}: check the url.") from None
    return Opened(feed, hashlib.sha256(answer.body).hexdigest())


def slices(found: Opened, position: Position, size: int) -> list[Batch]:
    """The entries that are left; all of them, if the feed has changed since they were counted."""
    entries: Sequence[Any] = found.feed.entries
    total = len(entries)
    done = position.get("row", 0) if position.get("digest") == found.digest else 0
    return [
        Batch(
            entries[at : at + size],
            {"row": min(at + size, total), "digest": found.digest},
            min(1.0, (at + size) / total),
        )
        for at in range(done, total, size)
    ]
