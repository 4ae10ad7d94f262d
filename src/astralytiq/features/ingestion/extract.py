"""Reads a source from its start, or from a checkpoint's position: one batch after another.

A position says where to go on after its batch. Rows read before are skipped by count, and only
while the file or page is still the one that was counted; if it has changed it is read again from
its top, since the upsert stores no record twice.
"""

import asyncio
from collections.abc import AsyncGenerator

from astralytiq.core.settings import Settings

from .batches import Batch, Position
from .calls import Calls
from .downloads import downloaded
from .files import Folder
from .increment import digest_of
from .read_api import api_batches
from .read_csv import CsvReader
from .read_rss import rss_batches
from .schemas import ApiSource, CsvSource, RssSource
from .service import Spec

READING = "reading"
# What may change while a source is read, and reading still goes on where it was.
BESIDE_IT = frozenset(
    {
        "name", "enabled", "schedule", "mapping", "batch_size", "schema_policy",
        "max_reject_ratio", "rate_limit", "retry", "cursor_lag",
    }
)  # fmt: skip


def placed(position: Position, spec: Spec) -> Position:
    """With the way in which the source was read: in another one the same place is another."""
    return position | {READING: reading_of(spec)}


def fits(position: Position, spec: Spec) -> bool:
    """Whether an attempt can go on there: not if the source has been told to read otherwise."""
    reading: str | None = position.get(READING)
    return reading == reading_of(spec)


def reading_of(spec: Spec) -> str:
    return digest_of(spec.model_dump(mode="json", exclude=set(BESIDE_IT)))


async def batches(
    settings: Settings,
    source: CsvSource | ApiSource | RssSource,
    position: Position | None,
    calls: Calls | None = None,
    beginning: int = 0,
) -> AsyncGenerator[Batch]:
    """`beginning`: so many bytes of a downloaded file are enough."""
    calls = calls or Calls()
    if isinstance(source, ApiSource):
        async for batch in api_batches(settings, source, position, calls):
            yield batch
        return
    if isinstance(source, RssSource):
        async for batch in rss_batches(settings, source, position, calls):
            yield batch
        return
    async with downloaded(settings, source, position, calls, beginning) as file:
        if calls.unchanged:
            return
        roots = settings.readable_roots
        if isinstance(file, Folder):
            source, roots, file = source.model_copy(update={"path": "**/*"}), (file.path,), None
        reader = await asyncio.to_thread(CsvReader, source, roots, position, file)
        try:
            while (batch_read := await asyncio.to_thread(reader.next_batch)) is not None:
                yield batch_read
        finally:
            reader.close()
