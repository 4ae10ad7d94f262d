"""Edges are written with the change that made them, and once."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import lineage
from astralytiq.core.db import Database
from astralytiq.core.lineage import Edge, Kind, LineageEdge, Node

pytestmark = pytest.mark.anyio

SHOP, RUN = Node(Kind.source, "shop"), Node(Kind.run, "run-1")
RAW, RECORDS = Node(Kind.raw, "run-1"), Node(Kind.records, "run-1")


async def connect(database: Database, *edges: Edge) -> None:
    async def write(session: AsyncSession) -> None:
        await lineage.connect(session, edges)

    await database.write(write)


async def stored(database: Database) -> list[tuple[Node, Node, str | None, dict[str, Any]]]:
    async with database.reading() as session:
        found = await session.scalars(select(LineageEdge).order_by(LineageEdge.from_kind))
        return [(one.origin, one.made, one.made_by, one.facets) for one in found]


async def test_an_edge_that_is_written_again_takes_the_new_facets_and_keeps_its_time(
    database: Database,
) -> None:
    await connect(database, Edge(SHOP, RUN, "job-1", {"status": "failed"}), Edge(RUN, RAW, "run-1"))
    async with database.reading() as session:
        before = dict((await session.execute(select(LineageEdge.id, LineageEdge.created_at))).all())
    await connect(database, Edge(SHOP, RUN, "job-1", {"status": "success"}))
    assert await stored(database) == [
        (RUN, RAW, "run-1", {}),
        (SHOP, RUN, "job-1", {"status": "success"}),
    ]
    async with database.reading() as session:
        after = dict((await session.execute(select(LineageEdge.id, LineageEdge.created_at))).all())
    assert after == before


async def test_a_change_that_is_refused_leaves_no_edge(database: Database) -> None:
    async def refused(session: AsyncSession) -> None:
        await lineage.connect(session, [Edge(SHOP, RUN)])
        raise RuntimeError("the change fails after its edges")

    with pytest.raises(RuntimeError):
        await database.write(refused)
    assert await stored(database) == []


async def test_two_that_write_the_same_edges_at_once_wait_for_each_other_and_write_them_once(
    database: Database,
) -> None:
    edges = [Edge(SHOP, RUN), Edge(RUN, RAW), Edge(RAW, RECORDS), Edge(RUN, RECORDS)]
    await asyncio.gather(*(connect(database, *edges[:: 1 if n % 2 else -1]) for n in range(8)))
    assert len(await stored(database)) == 4


async def test_nothing_to_connect_is_nothing_written(database: Database) -> None:
    await connect(database)
    assert await stored(database) == []
