"""Looks the places of records up in the index: those with a word, of a source, of a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, func, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.rows import to_json
from astralytiq.engines.etl.postings import SHIFT, places_of, places_of_hash, united

from .indexing import bucket_of, day_of, digest_of, hour_of
from .models import RecordWord

MANY = 2_000  # doubtful records that are looked at together
LAST_LETTER = "\U0010ffff"
BEFORE_ALL_LETTERS = " "

Hit = tuple[int, int]  # a segment, and the places in it, bit by bit


@dataclass(frozen=True)
class Span:
    """Entries from `first` on and before `end`; a record in those of `doubt` may be another's."""

    first: str
    end: str
    doubt: frozenset[str] = frozenset()


def exactly(key: str) -> Span:
    return Span(key, key + BEFORE_ALL_LETTERS)


def hours(field: str, since: datetime) -> Span:
    first = hour_of(field, since)
    return Span(first, f"={field} {LAST_LETTER}", frozenset({first}))


def days(field: str, after: datetime | None, before: datetime | None) -> Span:
    """From `after` on and before `before`: a day that is not asked for as a whole is doubtful."""
    first = day_of(field, after) if after else f"={field} "
    last = day_of(field, before) if before else f"={field} {LAST_LETTER}"
    is_whole = before is None or begins_day(before)
    doubt = {first} if after and not begins_day(after) else set()
    return Span(
        first,
        last if is_whole else last + BEFORE_ALL_LETTERS,
        frozenset(doubt if is_whole else doubt | {last}),
    )


def begins_day(moment: datetime) -> bool:
    return moment.time() == moment.min.time()


async def narrowed(
    session: AsyncSession, span: Span, found: dict[int, int], doubtful: dict[int, int]
) -> dict[int, int]:
    """Of `found` what stands in the span, too; places that are not sure to are added to those."""
    sure: dict[int, list[bytes]] = defaultdict(list)
    unsure: dict[int, list[bytes]] = defaultdict(list)
    inside = (RecordWord.word >= span.first, RecordWord.word < span.end)
    query = select(RecordWord.segment, RecordWord.word, RecordWord.places).where(
        among(session, RecordWord.segment, list(found)), *inside
    )
    for segment, word, places in await session.execute(query):
        (unsure if word in span.doubt else sure)[segment].append(places)
    both: dict[int, int] = {}
    for segment, bits in found.items():
        certain = united(sure[segment]) if segment in sure else 0
        perhaps = united(unsure[segment]) & ~certain if segment in unsure else 0
        if same := bits & (certain | perhaps):
            both[segment] = same
            doubtful[segment] |= perhaps
    return both


async def with_entity(
    session: AsyncSession, entity_id: str, found: dict[int, int]
) -> dict[int, int]:
    digest = digest_of(entity_id)
    query = select(RecordWord.segment, RecordWord.places).where(
        among(session, RecordWord.segment, list(found)), RecordWord.word == bucket_of(digest)
    )
    rows = sorted((await session.execute(query)).all())
    matching = {segment: places_of_hash(bucket, digest) for segment, bucket in rows}
    return {segment: bits for segment, bits in matching.items() if bits}


def chunks(found: dict[int, int], doubtful: dict[int, int]) -> Iterator[Sequence[Hit]]:
    """As many segments as have `MANY` doubtful records."""
    some: list[Hit] = []
    doubts = 0
    for segment, bits in found.items():
        some.append((segment, bits))
        doubts += (bits & doubtful[segment]).bit_count()
        if doubts >= MANY:
            yield some
            some, doubts = [], 0
    yield some


def ids_of(segment: int, bits: int) -> list[int]:
    return [segment << SHIFT | place for place in places_of(bits)]


def among(session: AsyncSession, column: Any, values: Sequence[int]) -> ColumnElement[bool]:
    """As one parameter, however many they are."""
    if session.get_bind().dialect.name == "postgresql":
        listed = literal(values, postgresql.ARRAY(BigInteger))
        is_any: ColumnElement[bool] = column == func.any(listed)
        return is_any
    found = func.json_each(to_json(values)).table_valued("value")
    given: ColumnElement[bool] = column.in_(select(found.c.value))
    return given
