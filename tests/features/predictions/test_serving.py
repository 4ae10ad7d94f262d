"""Serving asks no table and writes in groups, and yet answers from what is in production now."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast, bulk, direct
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.predictions.models import Prediction
from astralytiq.features.predictions.recording import recorder
from astralytiq.features.registry import serving
from astralytiq.features.registry.models import ModelVersion, Stage
from tests.conftest import SignIn
from tests.features.registry.factories import promote, store_version
from tests.patience import until

pytestmark = pytest.mark.anyio

PREDICT = "/api/v1/models/flowers/predict"
RECORDS = {"records": [{"length": 1.0, "width": 0}]}


@pytest.fixture
async def owner(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """Of two versions, of which the first is in production."""
    owner = await sign_in(Role.data_scientist)
    for seed in (0, 1):
        await store_version(resources, owner, seed=seed)
    await promote(owner)
    return owner


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    found: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        found.append(statement)

    for engine in (database.reader, database.writer):
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield found
    for engine in (database.reader, database.writer):
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def version_that_answers(client: httpx2.AsyncClient) -> int:
    answer = await client.post(PREDICT, json=RECORDS)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


async def until_nothing_is_read(client: httpx2.AsyncClient, database: Database) -> None:
    """The promotion is heard of once more through the outbox, a moment later."""

    async def nothing_is_read() -> bool:
        with statements(database) as asked:
            await version_that_answers(client)
        return not any(statement.startswith("SELECT") for statement in asked)

    await until(nothing_is_read)


async def test_a_prediction_asks_no_table_whose_version_is_known(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    await until_nothing_is_read(owner, database)


async def test_predictions_at_once_share_their_transactions(
    owner: httpx2.AsyncClient,
    database: Database,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await until_nothing_is_read(owner, database)
    groups: list[int] = []
    store, waiting = direct.store, recorder(resources)

    async def count(database: Database, rows: Sequence[bulk.Rows], more: Any) -> None:
        """The first transaction lasts until all others wait for the next."""
        groups.append(len(rows[0].values))
        await until(lambda: asyncio.sleep(0, sum(groups) + len(waiting._waiting) == 40))
        await store(database, rows, more)

    monkeypatch.setattr(direct, "store", count)
    async with database.reading() as session:
        before = await session.scalar(select(func.count(Prediction.id))) or 0
    await asyncio.gather(*(version_that_answers(owner) for _ in range(40)))
    assert sum(groups) == 40
    assert len(groups) <= 2
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Prediction.id))) == before + 40
        counted = select(ModelVersion.served_count).where(ModelVersion.number == 1)
        assert await session.scalar(counted) == before + 40


async def test_whoever_promotes_is_answered_by_what_they_promoted(
    owner: httpx2.AsyncClient,
) -> None:
    for number in (2, 1, 2):
        await promote(owner, number)
        assert await version_that_answers(owner) == number


async def test_no_request_fails_while_versions_take_turns_in_production(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    """A thousand requests, twenty promotions and rollbacks; each names who answered."""
    answered: list[int] = []

    async def ask(times: int) -> None:
        for _ in range(times):
            answered.append(await version_that_answers(owner))

    async def take_turns() -> None:
        for turn in range(20):
            assert (await promote(owner, 1 + (turn + 1) % 2)).status_code == 200
            await asyncio.sleep(0.02)

    await asyncio.gather(take_turns(), *(ask(100) for _ in range(10)))
    assert len(answered) == 1_000
    assert set(answered) == {1, 2}
    async with database.reading() as session:
        query = select(Prediction.version, func.count()).group_by(Prediction.version)
        rows = (await session.execute(query)).all()
    assert {row[0]: row[1] for row in rows} == {n: answered.count(n) for n in (1, 2)}


async def test_a_promotion_in_another_process_is_heard_of(
    owner: httpx2.AsyncClient, database: Database
) -> None:
    assert await version_that_answers(owner) == 1
    await database.write(in_another_process)

    async def heard_of() -> bool:
        return await version_that_answers(owner) == 2

    await until(heard_of)


async def in_another_process(session: AsyncSession) -> None:
    for number, stage in ((1, Stage.archived), (2, Stage.production)):
        version = await session.scalar(select(ModelVersion).where(ModelVersion.number == number))
        assert version
        version.stage = stage
        await session.flush()
    broadcast.publish(session, f"{serving.TOPIC}flowers", {"model": "flowers"})
