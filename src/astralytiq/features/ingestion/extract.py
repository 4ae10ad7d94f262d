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
from .read_api import api_batches
from .read_csv import CsvReader
from .read_rss import rss_batches
from .schemas import ApiSource, CsvSource, RssSource


async def batches(
    settings: Settings,
    source: CsvSource | ApiSource | RssSource,
    position: Position | None,
    calls: Calls | None = None,
) -> AsyncGenerator[Batch]:
    if isinstance(source, ApiSource):
        async for batch in api_batches(settings, source, position, calls or Calls()):
            yield batch
        return
    if isinstance(source, RssSource):
        async for batch in rss_batches(settings, source, position, calls or Calls()):
            yield batch
        return
    reader = await asyncio.to_thread(CsvReader, source, settings.readable_roots, position)
    try:
        while (batch_read := await asyncio.to_thread(reader.next_batch)) is not None:
            yield batch_read
    finally:
        reader.close()
