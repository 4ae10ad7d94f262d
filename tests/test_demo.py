"""Loading the demo's content: a few of its steps, on both databases, with a fault among them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import executor
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.demo import load, loading
from astralytiq.demo.models import MODELS
from astralytiq.demo.projects import PROJECTS
from astralytiq.demo.tables import TABLES
from astralytiq.features.accounts import first_accounts
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import Dataset
from astralytiq.features.registry import service as registry

SOME = {"penguins", "wine", "co2_mauna_loa", "penguin_species", "wine_groups"}
SOME_TABLES = tuple(plan for plan in TABLES if plan.name in SOME)
SOME_MODELS = tuple(plan for plan in MODELS if plan.name in SOME)


@pytest.fixture
async def working(resources: Resources) -> AsyncIterator[None]:
    """A worker beside the server."""
    stop = asyncio.Event()
    worker = asyncio.create_task(executor.run_forever(resources, "tests", stop))
    yield
    stop.set()
    await worker


@pytest.fixture(autouse=True)
def some_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "TABLES", SOME_TABLES)
    monkeypatch.setattr(loading, "MODELS", SOME_MODELS)


async def test_what_fails_is_named_and_the_rest_is_loaded_once(
    resources: Resources, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first_accounts.ensure_demo_accounts(resources)
    lost = tuple(replace(t, file=t.file and "lost.csv") for t in SOME_TABLES)
    told: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(loading, "TABLES", lost)
        await load(resources, told.append)
    first, *reasons = told[-1].splitlines()
    assert first.startswith("The demo is not complete: 2 data sets and 1 models")
    assert reasons[0].startswith("  data set wine: FileNotFoundError: ")
    assert reasons[1] == "  model wine_groups: it needs the data set wine"

    told.clear()
    await load(resources, told.append)
    assert "The demo is loaded: 3 data sets and 2 models" in told[-1]
    assert await found(resources) == ({"penguins": 1, "wine": 1, "co2_mauna_loa": 2},
                                      {"penguin_species": 1, "wine_groups": 1})  # fmt: skip

    told.clear()
    before = await jobs_asked(resources)
    await delete(resources, "wine")
    await load(resources, told.append)
    assert told == []
    assert await jobs_asked(resources) == before
    assert "wine" not in (await found(resources))[0]  # What somebody deleted does not come back.


async def test_without_its_account_nothing_is_loaded(resources: Resources) -> None:
    told: list[str] = []
    await load(resources, told.append)
    assert [line.partition(":")[0] for line in told] == ["The demo content cannot be loaded"]
    assert await found(resources) == ({}, {})


def test_the_plan_names_only_what_there_is_and_each_project_what_belongs_to_it() -> None:
    tables, models = [t.name for t in TABLES], [m.name for m in MODELS]
    assert (len(set(tables)), len(set(models))) == (15, 12)
    assert {name for plan in MODELS for name in plan.needs} <= set(tables)
    assert {name for plan in TABLES for name in plan.needs} <= set(tables)
    assert sorted(name for plan in PROJECTS for name in plan.tables) == sorted(tables)
    assert sorted(name for plan in PROJECTS for name in plan.models) == sorted(models)


async def found(resources: Resources) -> tuple[dict[str, int], dict[str, int]]:
    """Data sets and models, each with its newest version."""
    async with resources.database.reading() as session:
        tables, _ = await datasets.list_all(session, 100, 0)
        models, _ = await registry.list_all(session, 100, 0)
    return (
        {one.name: one.current for one in tables},
        {one.name: one.latest_version for one in models},
    )


async def jobs_asked(resources: Resources) -> int:
    async with resources.database.reading() as session:
        return await session.scalar(select(func.count(Job.id))) or 0


async def delete(resources: Resources, name: str) -> None:
    actor = await loading.owner(resources)

    async def unit(session: AsyncSession) -> None:
        query = datasets.living().where(Dataset.name == name)
        await datasets.delete(session, actor, (await session.scalars(query)).one())

    await resources.database.write(unit)
