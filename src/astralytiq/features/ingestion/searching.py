"""Pages of records: in the order of their ids, by what they are, when they are from, their words.

Segment by segment: what the index knows of a segment it answers; other than words, records whose
segment waits to be indexed are looked at themselves, so that only `q` lags behind.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl.postings import SHIFT, SIZE, WHOLE
from astralytiq.features.projects.search import words_asked

from . import lookup, service
from .indexing import TEXTS, key_of, segment_of, words_in
from .lookup import LAST_LETTER, Hit, Span, among
from .models import DataRecord, RecordNote, RecordSegment

MOST_COUNTED = 10_000
FIRST_PART, GROWTH, LARGEST_PART = 4, 4, 512  # segments looked at together


@dataclass(frozen=True)
class Filters:
    """What records are asked for: from `*_after` and `updated_since` on, up to `*_before`."""

    source: str | None = None
    category: str | None = None
    entity_id: str | None = None
    published_after: datetime | None = None
    published_before: datetime | None = None
    updated_since: datetime | None = None
    q: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """All but the words."""
        asked = (
            (self.source, DataRecord.source.__eq__),
            (self.category, DataRecord.category.__eq__),
            (self.entity_id, DataRecord.entity_id.__eq__),
            (self.published_after, DataRecord.published_at.__ge__),
            (self.published_before, DataRecord.published_at.__lt__),
            (self.updated_since, DataRecord.updated_at.__ge__),
        )
        given = [compare(value) for value, compare in asked if value is not None]
        return [DataRecord.deleted_at.is_(None), *given]

    @property
    def counted(self) -> bool:
        """Whether there is a counter of the records that match, words aside."""
        return self == Filters(source=self.source, q=self.q)


@dataclass(frozen=True)
class Page:
    """`total` says how many match, or that there are more than it if `is_capped`."""

    records: Sequence[DataRecord]
    total: int
    following: str | None = None
    is_capped: bool = False
    index_pending: bool = False


async def page_of_records(
    session: AsyncSession, filters: Filters, limit: int, offset: int, cursor: int | None
) -> Page:
    """Records in the order of their ids, and where the next page begins."""
    if cursor is not None and offset:
        raise Invalid("Give 'cursor' or 'offset', not both.")
    words = words_asked(filters.q)
    if words is not None or not filters.counted:
        return await search(session, filters, words, limit, offset, cursor)
    query = select(DataRecord).where(*filters.conditions()).order_by(DataRecord.id)
    query = query if cursor is None else query.where(DataRecord.id > cursor)
    found = (await session.scalars(query.limit(limit + 1).offset(offset))).all()
    following = str(found[limit - 1].id) if len(found) > limit else None
    total = await service.count_records(session, filters.source)
    return Page(found[:limit], total, following)


async def search(
    session: AsyncSession,
    filters: Filters,
    words: Sequence[str] | None,
    limit: int,
    offset: int,
    cursor: int | None,
) -> Page:
    """The index may be behind: records that do not match any more are left out of the page."""
    if words == []:  # A text without any, such as "%", is nowhere.
        return Page([], 0)
    plan = await planned(session, filters, words or [])
    counted = await take(session, plan, -1, 0, MOST_COUNTED + 1)
    is_capped = len(counted) > MOST_COUNTED
    start = bisect_right(counted, cursor) if cursor is not None else offset
    if is_capped and start + limit >= len(counted):
        wanted = await take(session, plan, -1 if cursor is None else cursor, offset, limit + 1)
    else:
        wanted = counted[start : start + limit + 1]
    query = select(DataRecord).where(among(session, DataRecord.id, wanted[:limit]))
    found = await session.scalars(query.where(*filters.conditions()).order_by(DataRecord.id))
    return Page(
        [record for record in found if not words or has_words(record, words)],
        min(len(counted), MOST_COUNTED),
        str(wanted[limit - 1]) if len(wanted) > limit else None,
        is_capped,
        index_pending=bool(words and plan.is_behind),
    )


def has_words(record: DataRecord, words: Sequence[str]) -> bool:
    present = words_in(*(getattr(record, name) for name in TEXTS))
    return all(any(word.startswith(asked) for word in present) for asked in words)


# Planning ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    filters: Filters
    spans: Sequence[Span]
    segments: Sequence[int]  # where matches may be, in ascending order
    indexed: frozenset[int]  # those of them that the index answers for
    is_behind: bool  # records have changed since


async def planned(session: AsyncSession, filters: Filters, words: Sequence[str]) -> Plan:
    waiting = frozenset(await session.scalars(select(RecordNote.segment).distinct()))
    known = frozenset(await session.scalars(select(RecordSegment.segment)))
    # Of a segment that waits, the words as they were indexed are better than none.
    indexed = known if words else known - waiting
    segments = sorted(indexed if words else indexed | waiting)
    return Plan(filters, list(spans(filters, words)), segments, indexed, bool(waiting))


def spans(filters: Filters, words: Sequence[str]) -> Iterator[Span]:
    """The rarest first, as far as can be told: long words, then what many records share."""
    for word in sorted(words, key=len, reverse=True):
        yield Span(word, word + LAST_LETTER)
    for field, value in (("source", filters.source), ("category", filters.category)):
        if value is not None:
            yield lookup.exactly(key_of(field, value))
    if filters.updated_since:
        yield lookup.hours("updated", filters.updated_since)
    if filters.published_after or filters.published_before:
        yield lookup.days("published", filters.published_after, filters.published_before)


# Looking ----------------------------------------------------------------------------------------


async def take(session: AsyncSession, plan: Plan, after: int, skip: int, count: int) -> list[int]:
    """The first `count` ids beyond `after`, without the `skip` before them."""
    taken: list[int] = []
    async for segment, bits in hits(session, plan, after, skip + count):
        if segment == segment_of(after):
            bits &= WHOLE << (after - (segment << SHIFT) + 1)
        if (size := bits.bit_count()) <= skip:
            skip -= size
            continue
        taken += lookup.ids_of(segment, bits)[skip:]
        skip = 0
        if len(taken) >= count:
            break
    return taken[:count]


async def hits(session: AsyncSession, plan: Plan, after: int, most: int) -> AsyncIterator[Hit]:
    """Segment by segment; of those that are looked at themselves, no more than `most` records."""
    for part in parts([one for one in plan.segments if one >= segment_of(after)]):
        for is_indexed, group in groupby(part, plan.indexed.__contains__):
            if is_indexed:
                found = from_index(session, plan, list(group))
            else:
                found = from_records(session, plan, list(group), after, most)
            async for hit in found:
                yield hit


def parts(segments: Sequence[int]) -> Iterator[Sequence[int]]:
    """Few at first, as a page of something frequent needs no more."""
    at, size = 0, FIRST_PART
    while at < len(segments):
        yield segments[at : at + size]
        at, size = at + size, min(size * GROWTH, LARGEST_PART)


async def from_index(
    session: AsyncSession, plan: Plan, segments: Sequence[int]
) -> AsyncIterator[Hit]:
    """What is rarest is looked for first: the rest then only where that was found."""
    found = dict.fromkeys(segments, WHOLE)
    if plan.filters.entity_id is not None:
        found = await lookup.with_entity(session, plan.filters.entity_id, found)
    doubtful: dict[int, int] = defaultdict(int)
    for span in plan.spans:
        found = await lookup.narrowed(session, span, found, doubtful)
    for some in lookup.chunks(found, doubtful):
        if any(doubtful[segment] for segment, _ in some):
            some = await settled(session, plan, some, doubtful)
        for hit in some:
            yield hit


async def settled(
    session: AsyncSession, plan: Plan, found: Sequence[Hit], doubtful: Mapping[int, int]
) -> Sequence[Hit]:
    """Without the doubtful ones whose records are of another time."""
    ids = [
        one for segment, bits in found for one in lookup.ids_of(segment, bits & doubtful[segment])
    ]
    query = select(DataRecord.id).where(among(session, DataRecord.id, ids))
    right = dict(hits_of(await session.scalars(query.where(*plan.filters.conditions()))))
    kept = [(one, bits & ~doubtful[one] | right.get(one, 0)) for one, bits in found]
    return [hit for hit in kept if hit[1]]


async def from_records(
    session: AsyncSession, plan: Plan, segments: Sequence[int], after: int, most: int
) -> AsyncIterator[Hit]:
    for first, last in runs(segments):
        inside = DataRecord.id.between(first << SHIFT, (last << SHIFT) + SIZE - 1)
        query = select(DataRecord.id).where(inside, *plan.filters.conditions())
        query = query.where(DataRecord.id > after).order_by(DataRecord.id).limit(most)
        for hit in hits_of(await session.scalars(query)):
            yield hit


def hits_of(ids: Iterable[int]) -> list[Hit]:
    found: dict[int, int] = defaultdict(int)
    for one in ids:
        found[segment_of(one)] |= 1 << (one & (SIZE - 1))
    return sorted(found.items())


def runs(segments: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last of those that follow one another."""
    for _, group in groupby(enumerate(segments), lambda pair: pair[1] - pair[0]):
        together = [segment for _, segment in group]
        yield together[0], together[-1]
