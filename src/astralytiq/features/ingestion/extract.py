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
from .read_api import api_batches
from .read_csv import CsvReader
from .read_rss import rss_batches
from .schemas import ApiSource, CsvSource, RssSource


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
        reader = await asyncio.to_thread(CsvReader, source, roots, position, file)
        try:
            while (batch_read := await asyncio.to_thread(reader.next_batch)) is not None:
                yield batch_read
        finally:
            reader.close()
