"""Indexes the words of records once a run has stored them: a load does not wait for it.

Each change notes in its own transaction which segments it touched (8,192 ids each), and a job makes
their entries anew from the records as they are: nobody has to know what an entry was before, and a
job that is stopped, or done twice, does no harm. Entries stand by segment, so they are written in
the order of the table, whatever the words and hashes are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk, jobs
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.engines.etl.columns import Columns
from astralytiq.engines.etl.postings import SHIFT, SIZE, entry, packed
from astralytiq.features.projects.search import words_of

from .models import DataRecord, RecordNote, RecordSegment, RecordWord

JOB = "ingestion.index"
PART = 64  # segments of one job: others come to their turn in between
BEHIND_OTHERS = -1  # a run that waits goes first
TEXTS = ("title", "description", "content", "author", "category")
CATEGORY = TEXTS.index("category")
LONGEST_TEXT = 20_000  # characters of a field whose words are found
COLUMNS = (
    DataRecord.id, DataRecord.source, DataRecord.entity_id,
    DataRecord.published_at, DataRecord.updated_at,
    *(getattr(DataRecord, name) for name in TEXTS),
)  # fmt: skip


@dataclass(frozen=True)
class Entries:
    """What is to be found in a segment, made from its records as they were when `notes` stood."""

    segment: int
    notes: Sequence[int]
    words: Columns


# Notes ------------------------------------------------------------------------------------------


async def last_id(session: AsyncSession, source: str) -> int:
    query = select(DataRecord.id).filter_by(source=source).order_by(DataRecord.id.desc())
    return await session.scalar(query.limit(1)) or 0


async def note_added(session: AsyncSession, source: str, after: int) -> None:
    """Note the records that the source got in this transaction: those beyond its last id before."""
    added = select(func.min(DataRecord.id), func.max(DataRecord.id))
    beyond = added.where(DataRecord.source == source, DataRecord.id > after)
    first, last = (await session.execute(beyond)).one()
    if first is not None:
        await note(session, range(segment_of(first), segment_of(last) + 1))


async def note_changed(session: AsyncSession, record_ids: Iterable[int]) -> None:
    await note(session, {segment_of(record_id) for record_id in record_ids})


async def note_all(session: AsyncSession, *which: ColumnElement[bool]) -> None:
    """Note the records of which this is true now, before they are marked or deleted."""
    found = select(DataRecord.id // SIZE).where(*which).distinct()
    await note(session, await session.scalars(found))


async def note(session: AsyncSession, segments: Iterable[int]) -> None:
    if rows := [{"segment": segment} for segment in sorted(segments)]:
        await session.execute(insert(RecordNote), rows)


def segment_of(record_id: int) -> int:
    return record_id >> SHIFT


# The job ----------------------------------------------------------------------------------------


async def enqueue(session: AsyncSession) -> None:
    """Ask for the notes to be worked off, if there are any and nobody has asked yet."""
    if await session.scalar(select(RecordNote.id).limit(1)) is None:
        return
    asked = select(Job.id).where(Job.name == JOB, Job.status == JobStatus.queued).limit(1)
    # Held, so that it does not begin, and end, before the notes of this transaction are there. Who
    # waited for another to let it go could wait in a circle; a job too many does no harm.
    if await session.scalar(asked.with_for_update(skip_locked=True)) is None and (
        job := await jobs.enqueue(session, JOB)
    ):
        job.priority = BEHIND_OTHERS


async def work_off(work: Work) -> dict[str, Any]:
    for done in range(PART):
        segment, waiting = await next_segment(work)
        if segment is None:
            return {"segments": done}
        work.report(done / (done + waiting), "indexing", f"{waiting} segments are waiting")
        await work.step(partial(put, await entries_of(work, segment)))
    await work.step(enqueue)
    return {"segments": PART}


async def next_segment(work: Work) -> tuple[int | None, int]:
    """The first segment with a note, and how many have one."""
    query = select(func.min(RecordNote.segment), func.count(RecordNote.segment.distinct()))
    async with work.resources.database.reading() as session:
        first, waiting = (await session.execute(query)).one()
    return first, waiting


async def entries_of(work: Work, segment: int) -> Entries:
    """The notes are read before the records: what changes in between has a note that stays."""
    notes = select(RecordNote.id).filter_by(segment=segment)
    first = segment << SHIFT
    inside = DataRecord.id.between(first, first + (1 << SHIFT) - 1)
    records = select(*COLUMNS).where(inside, DataRecord.deleted_at.is_(None))
    async with work.resources.database.reading() as session:
        seen = (await session.scalars(notes)).all()
        rows = (await session.execute(records.order_by(DataRecord.id))).all()
    return await asyncio.to_thread(made, segment, seen, rows)


async def put(entries: Entries, session: AsyncSession) -> None:
    """Replace the segment's entries, unless somebody else has worked off one of its notes."""
    seen = RecordNote.id.in_(entries.notes)
    held = await session.scalars(select(RecordNote.id).where(seen).with_for_update())
    if len(held.all()) < len(entries.notes):
        return
    for table in (RecordWord, RecordSegment):
        await session.execute(delete(table).where(table.segment == entries.segment))
    if entries.words["word"]:
        words: Any = RecordWord.__table__
        rows = bulk.rows_of(words, entries.words, for_sqlite=bulk.is_sqlite(session))
        await bulk.append(session, rows)
        await session.execute(insert(RecordSegment).values(segment=entries.segment))
    await session.execute(delete(RecordNote).where(seen))


# Entries ----------------------------------------------------------------------------------------


def made(segment: int, notes: Sequence[int], records: Sequence[Any]) -> Entries:
    places: dict[str, list[int]] = defaultdict(list)
    buckets: dict[str, list[bytes]] = defaultdict(list)
    first = segment << SHIFT
    for record_id, source, entity_id, published_at, updated_at, *texts in records:
        place = record_id - first
        for word in (
            *words_in(*texts),
            *keys_of(source, texts[CATEGORY], published_at, updated_at),
        ):
            places[word].append(place)
        digest = digest_of(entity_id)
        buckets[bucket_of(digest)].append(entry(digest, place))
    rows = [(word, packed(found)) for word, found in places.items()]
    rows += [(bucket, b"".join(found)) for bucket, found in buckets.items()]
    rows.sort()
    columns: Columns = {
        "segment": [segment] * len(rows),
        "word": [word for word, _ in rows],
        "places": [found for _, found in rows],
    }
    return Entries(segment, notes, columns)


def words_in(*texts: str | None) -> list[str]:
    return words_of(*[text[:LONGEST_TEXT] if text else None for text in texts])


# Entries that no search by words meets, as no word begins with a sign.


def keys_of(
    source: str, category: str | None, published_at: datetime | None, updated_at: datetime
) -> Iterator[str]:
    yield key_of("source", source)
    yield hour_of("updated", updated_at)
    if category is not None:
        yield key_of("category", category)
    if published_at is not None:
        yield day_of("published", published_at)


@lru_cache(maxsize=1024)
def key_of(field: str, value: str) -> str:
    return f"={field} {digest_of(value).hex()}"


def day_of(field: str, moment: datetime) -> str:
    return number_of(field, moment.toordinal())


def hour_of(field: str, moment: datetime) -> str:
    return number_of(field, moment.toordinal() * 24 + moment.hour)


@lru_cache(maxsize=1024)
def number_of(field: str, number: int) -> str:
    return f"={field} {number:08}"


def digest_of(value: str) -> bytes:
    return blake2b(value.encode(errors="surrogatepass"), digest_size=8).digest()


def bucket_of(digest: bytes) -> str:
    return f"=entity {digest[0]:02x}"
