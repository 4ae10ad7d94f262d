"""Reads a source's web interface, page after page: resumable within a page by the count read."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.budgets import Pace
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched, Fetcher, Patience
from astralytiq.core.jobs import Transient
from astralytiq.core.settings import Settings
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.paging import Page, Paging
from astralytiq.engines.etl.paths import records_in
from astralytiq.engines.etl.payloads import Payloads

from .asking import Asker
from .batches import Batch, Position
from .calls import Calls
from .checks import KEPT
from .documents import document_of, refuse_error
from .schemas import ApiSource, Auth, WebSource
from .trail import Trail

NO_CONTENT = 204

Result = TypeVar("Result")


async def api_batches(
    settings: Settings, source: ApiSource, position: Position | None, calls: Calls
) -> AsyncIterator[Batch]:
    paging = Paging(**source.pagination.model_dump())
    at: Position = {"page": paging.first(), "row": 0, "digest": ""} | (position or {})
    page: Page | None = at["page"]
    before, calls.page = at.get("before", ""), at.get("number", 1)
    trail = Trail(source, page)
    # Of several pages the first may be unchanged and the others not.
    asks_if_changed = source.method == "GET" and paging.style == "none" and position is None
    async with fetcher_of(settings, source, calls) as fetcher:
        headers, params = signed(settings, source, calls.secret)
        headers |= calls.conditions(source.url) if asks_if_changed else {}
        asker = Asker(fetcher, source, paging, headers, params, calls)
        while page is not None:
            if (answer := await asker.ask(page)) is None:
                return
            if answer.status == 304:
                calls.unchanged = True
                return
            calls.learn(source.url, answer.headers if asks_if_changed else {})
            first = page == paging.first()
            found = await asyncio.to_thread(opened, source, answer, first, calls.page)
            tell_mended(calls, found)
            refuse_repetition(source, found, before)
            following = next_page(source, paging, page, answer, found)
            trail.follow(following, found.records)
            # A page that has changed since it was counted is read from its top.
            done = at["row"] if found.digest == at["digest"] else 0
            for batch in slices(
                found, page, following, done, source.batch_size, calls.page, before
            ):
                yield batch
            page, before = following, found.digest
            at = {"row": 0, "digest": ""}
            calls.page += 1


def fetcher_of(settings: Settings, source: WebSource, calls: Calls) -> Fetcher:
    limit = source.rate_limit
    return Fetcher(
        settings.allow_private_sources,
        patience=Patience(source.retry.attempts, source.retry.max_seconds),
        pace=Pace(limit.requests, limit.per_seconds) if limit else None,
        watcher=calls,
        transport=calls.transport(),
    )


@dataclass(frozen=True)
class Opened:
    """A page's content: its document, its records, and the SHA-256 of its bytes. `mended`: how many
    halves of letters were replaced in it. `texts`: its records as JSON, if they go on so."""

    document: Any
    records: list[Any]
    digest: str
    mended: int = 0
    texts: Payloads | None = None


def signed(
    settings: Settings, source: WebSource, kept: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and parameters with the secret, `kept` by us or read here from the environment."""
    headers, params = dict(source.headers), dict(source.params)
    if source.auth is None:
        return headers, params
    secret = secret_of(settings, source.auth, kept)
    match source.auth.type:
        case "bearer":
            headers["Authorization"] = f"Bearer {secret}"
        case "basic":
            pair = f"{source.auth.username}:{secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        case "header":
            headers[source.auth.name or ""] = secret
        case "query":
            params[source.auth.name or ""] = secret
    return headers, params


def secret_of(settings: Settings, auth: Auth, kept: str) -> str:
    name = auth.secret.removeprefix("env:")
    refuse_unlisted(settings, auth)
    secret = kept or os.environ.get(name, "").strip()
    if not secret:
        raise Invalid(
            f"The environment variable {name!r} is not set where jobs run: set it there, "
            "and start the workers again."
        )
    if auth.type != "basic" and not (secret.isascii() and secret.isprintable()):
        raise Invalid(f"The value of {name!r} cannot be sent: it must be printable ASCII.")
    return secret


def refuse_unlisted(settings: Settings, auth: Auth | None) -> None:
    if auth and settings.production and not auth.secret.startswith(KEPT):
        name = auth.secret.removeprefix("env:")
        if name not in settings.source_secrets:
            raise Invalid(f"SOURCE_SECRETS does not list {name!r}: have an admin add it.")


def opened(source: ApiSource, answer: Fetched, first: bool, number: int = 1) -> Opened:
    digest = hashlib.sha256(answer.body).hexdigest()
    if answer.status == NO_CONTENT:
        return Opened(None, [], digest)
    document, mended = document_of(source.url, answer)
    try:
        records = worded(
            source, lambda: records_in(document, source.records_path, first_page=first)
        )
    except Invalid:
        refuse_error(source.url, answer, document, number)
        raise
    if not records:
        refuse_error(source.url, answer, document, number)
    whole = [one if isinstance(one, dict) else no_object(one) for one in records]
    return Opened(document, whole, digest, mended, as_texts(source, whole))


def as_texts(source: ApiSource, records: list[Any]) -> Payloads | None:
    """What a page is handed on as: while it is in the processor's cache JSON costs half as much.

    Not if it is handed on in parts, or is looked at by its cursor.
    """
    if source.cursor_field is not None or len(records) > source.batch_size:
        return None
    try:
        return Payloads.of(records)
    except RecursionError:  # Too deep for our writer: such a record becomes a reject.
        return None


def tell_mended(calls: Calls, found: Opened) -> None:
    if found.mended:
        words = f"Page {calls.page}: {found.mended:,} halves of letters, which text cannot hold, "
        details = {"page": calls.page, "letters": found.mended}
        calls.note("mended", f"{words}were replaced by \ufffd.", details)


def no_object(record: Any) -> Broken:
    return Broken("is not an object with named fields", {"value": record})


def next_page(
    source: ApiSource, paging: Paging, page: Page, answer: Fetched, found: Opened
) -> Page | None:
    return worded(
        source,
        lambda: paging.following(
            page,
            url=answer.url,
            document=found.document,
            link=answer.headers.get("link"),
            count=len(found.records),
        ),
    )


def slices(
    found: Opened,
    page: Page,
    following: Page | None,
    done: int,
    size: int,
    number: int,
    before: str,
) -> list[Batch]:
    """The page's records from `done` on; only its last batch moves on to the following page."""
    total = len(found.records)
    made = []
    for at in range(done, total, size):
        end = min(at + size, total)
        position: Position = {"page": following, "number": number + 1, "before": found.digest}
        position |= {"row": 0, "digest": ""}
        if end < total:
            position = {"page": page, "number": number, "before": before}
            position |= {"row": end, "digest": found.digest}
        whole = found.texts if end - at == total else None
        made.append(Batch(whole or found.records[at:end], position, 0.0))
    return made


def refuse_repetition(source: ApiSource, found: Opened, before: str) -> None:
    """What belongs in its place is hidden by it; a later attempt may be answered better."""
    if found.records and found.digest == before:
        raise Transient(
            f"{shown(parsed(source.url))} answers the same page again and again: "
            "check pagination.param."
        )


def worded(source: ApiSource, decide: Callable[[], Result]) -> Result:
    try:
        return decide()
    except ValueError as fault:
        raise Invalid(f"{shown(parsed(source.url))}: {fault}.") from None
