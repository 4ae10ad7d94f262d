"""The job of an erasure: leaves null in the place of each payload of the thing.

First goes what looks like the thing (by what a run would make of it today, or because it is the
same as a payload that its records came from), in the tables of all kinds that the source has had;
at last the payloads that its records came from. An attempt that was stopped still has these to
compare with, and nothing that is to be forgotten stands in the job.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.engines.etl.feeds import FEED_MAPPING
from astralytiq.engines.etl.normalise import Normaliser, canonical
from astralytiq.engines.etl.packing import packed, unpacked
from astralytiq.engines.etl.values import from_csv

from . import forgetting, raw, service
from .erasing import digest_of
from .models import RawCsv, RawPayload, RawRss, Reject
from .service import Spec

Place = tuple[int, int]
Meant = Callable[[int, int, Any], bool]


@dataclass(frozen=True)
class Search:
    """Batches to go through, and how a payload of the thing is told there."""

    source: str
    table: type[RawPayload]
    meant: Meant
    among: frozenset[int] | None = None  # the numbers of the batches; None for all of the source

    def rows(self, after: int) -> Select[RawPayload]:
        rows = select(self.table).where(self.table.source == self.source, self.table.id > after)
        return rows.order_by(self.table.id).limit(1)

    def next_after(self, number: int) -> int | None:
        """Where it goes on after a batch, if that is known beforehand."""
        return min((one for one in self.among or () if one > number), default=None)


async def work_off(
    work: Work, entity_id: str, keys: dict[str, list[str]], places: dict[str, list[list[Any]]]
) -> dict[str, Any]:
    done: dict[str, Any] = work.checkpoint or {}
    if done.get("searches") != (count := len(keys) * len(raw.RAW_TABLES) * 2):
        done = {"searches": count, "part": 0, "after": 0, "payloads": 0}
    alike, own = [], []
    for name in sorted(keys):
        for table, there in (await tables_behind(work, name, places[name])).items():
            alike.append(await search_alike(work, name, table, entity_id, keys[name], there))
            own.append(Search(name, table, partial(lies_in, there), frozenset(n for n, _ in there)))
    searches = [*alike, *own]
    for part, search in enumerate(searches):
        if part < done["part"]:
            continue
        done = done | {"part": part, "after": done["after"] if part == done["part"] else 0}
        work.report(part / len(searches), "erasing", f"payloads of {search.source}")
        done = await go_through(work, search, done)
    for name in keys:
        await forgetting.forget_values(work, name)
    return {"payloads": done["payloads"]}


async def tables_behind(
    work: Work, name: str, places: Sequence[Sequence[Any]]
) -> dict[type[RawPayload], set[Place]]:
    """The tables of all kinds, as a source may have been of another one, and which of the places
    lie in each: the tables number their rows each for itself."""
    found: dict[type[RawPayload], set[Place]] = {table: set() for table in raw.RAW_TABLES.values()}
    grouped: dict[tuple[int, str], set[Place]] = defaultdict(set)
    for raw_id, position, *run in places:
        grouped[raw_id, run[0] if run else ""].add((raw_id, position))
    for (raw_id, run_id), own in grouped.items():
        async with work.resources.database.reading() as session:
            row = await raw.raw_behind(session, name, run_id, raw_id)
        # A job of an earlier version does not know the runs: then they may lie in any table.
        tables = [type(row)] if row else [] if run_id else list(found)
        for table in tables:
            found[table] |= own
    return found


async def search_alike(
    work: Work,
    name: str,
    table: type[RawPayload],
    entity_id: str,
    keys: Sequence[str],
    places: set[Place],
) -> Search:
    """What lies in the places is left to the last: it is what others are compared with."""
    async with work.resources.database.reading() as session:
        source = await service.find_source(session, name)
        spec = service.spec_of(source) if source else None
    known = await payloads_in(work, name, table, places)
    made = normalisers_of(spec, table) if spec else []

    def meant(raw_id: int, position: int, payload: Any) -> bool:
        if (raw_id, position) in places or not isinstance(payload, dict):
            return False
        return is_same(payload, known) or any(
            is_meant(one, entity_id, frozenset(keys), payload) for one in made
        )

    return Search(name, table, meant)


async def payloads_in(
    work: Work, name: str, table: type[RawPayload], places: set[Place]
) -> frozenset[bytes]:
    found = set()
    for raw_id in sorted({number for number, _ in places}):
        async with work.resources.database.reading() as session:
            row = await session.scalar(select(table).filter_by(source=name, id=raw_id))
        payloads = await asyncio.to_thread(unpacked, row.payload) if row else []
        own = [payloads[at] for number, at in places if number == raw_id and at < len(payloads)]
        found |= {canonical(one) for one in own if isinstance(one, dict)}
    return frozenset(found)


def normalisers_of(spec: Spec, table: type[RawPayload]) -> list[Normaliser]:
    """As a run of today would read this table's payloads; of feeds, also as feeds are at first."""
    keys = [spec.primary_key] if isinstance(spec.primary_key, str) else spec.primary_key or []
    convert = from_csv if table is RawCsv else None
    made = [Normaliser(spec.name, dict[str, str](spec.mapping.items()), keys, convert)]
    if table is RawRss and spec.kind != "rss":
        made.append(Normaliser(spec.name, FEED_MAPPING, ["id"]))
    return made


def lies_in(places: set[Place], raw_id: int, position: int, payload: Any) -> bool:
    return (raw_id, position) in places


def is_same(payload: dict[str, Any], known: frozenset[bytes]) -> bool:
    """A run that finds a record unchanged stores its payload too, but names the run before."""
    try:
        return bool(known) and canonical(payload) in known
    except RecursionError:
        return False


def is_meant(
    normaliser: Normaliser, entity_id: str, keys: frozenset[str], payload: dict[str, Any]
) -> bool:
    try:
        record = normaliser.one(payload)
    except ValueError:
        key = normaliser.key(payload)
        return key is not None and digest_of(key) in keys
    return record["entity_id"] == entity_id or digest_of(record["source_id"]) in keys


async def go_through(work: Work, search: Search, done: dict[str, Any]) -> dict[str, Any]:
    while True:
        after = done["after"]
        if search.among is not None:
            if (following := search.next_after(after)) is None:
                return done
            after = following - 1
        async with work.resources.database.reading() as session:
            row = await session.scalar(search.rows(after))
        if row is None:
            return done
        work.check()
        payload, gone = await asyncio.to_thread(without, search.meant, row.id, row.payload)
        done = done | {"after": row.id, "payloads": done["payloads"] + len(gone)}
        if gone:
            await work.step(partial(store, search, row.id, payload, gone), checkpoint=done)


def without(meant: Meant, raw_id: int, payload: bytes) -> tuple[bytes, list[int]]:
    """The batch without what is meant, and the positions that were."""
    payloads = unpacked(payload)
    gone = [at for at, one in enumerate(payloads) if one is not None and meant(raw_id, at, one)]
    for at in gone:
        payloads[at] = None
    return packed(payloads), gone


async def store(
    search: Search, raw_id: int, payload: bytes, gone: Sequence[int], session: AsyncSession
) -> None:
    table = search.table
    await session.execute(update(table).where(table.id == raw_id).values(payload=payload))
    row = await session.get_one(table, raw_id)
    rejects = await session.scalars(raw.rejects_of(row).where(Reject.raw_position.in_(gone)))
    own = [one.id for one in rejects if await is_of(session, row, one)]
    await session.execute(delete(Reject).where(Reject.id.in_(own)))


async def is_of(session: AsyncSession, row: RawPayload, reject: Reject) -> bool:
    """A replay's may be of another kind's batch with the same number."""
    if reject.run_id == row.run_id:
        return True
    return await raw.raw_behind(session, row.source, reject.run_id, row.id) is row
