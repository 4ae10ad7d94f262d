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
from astralytiq.demo import load, loading, showing
from astralytiq.demo.dashboards import DASHBOARDS
from astralytiq.demo.models import MODELS
from astralytiq.demo.projects import ANALYST, PROJECTS
from astralytiq.demo.rules import RULES
from astralytiq.demo.tables import TABLES
from astralytiq.features.accounts import first_accounts
from astralytiq.features.accounts import service as accounts
from astralytiq.features.alerts import service as alerts
from astralytiq.features.dashboards import service as dashboards
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets import synthetic
from astralytiq.features.datasets.models import Dataset
from astralytiq.features.registry import service as registry
from astralytiq.features.telemetry import statistics
from astralytiq.features.telemetry.reading import EventFilters

SOME = {"penguins", "wine", "co2_mauna_loa", "penguin_species", "wine_groups"}
SOME_TABLES = tuple(plan for plan in TABLES if plan.name in SOME)
SOME_MODELS = tuple(replace(plan, description="Ours.") for plan in MODELS if plan.name in SOME)
BIRDS = next(plan for plan in DASHBOARDS if "penguins" in plan.needs)
SOME_DASHBOARDS = (BIRDS, replace(BIRDS, name="Of groups", needs=(*BIRDS.needs, "wine_groups")))


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
    monkeypatch.setattr(loading, "DASHBOARDS", SOME_DASHBOARDS)


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
    assert first.startswith("The demo is not complete: 2 data sets, 1 models and 1 dashboards")
    assert reasons[0].startswith("  data set wine: FileNotFoundError: ")
    assert reasons[1] == "  model wine_groups: it needs the data set wine"
    assert reasons[2] == "  dashboard Of groups: it needs the model wine_groups"
    assert await shown(resources) == (["Penguins by species"], len(RULES))
    events = await events_stored(resources)

    told.clear()
    await load(resources, told.append)
    assert "The demo is loaded: 3 data sets, 2 models and 2 dashboards" in told[-1]
    assert await found(resources) == ({"penguins": 1, "wine": 1, "co2_mauna_loa": 2},
                                      {"penguin_species": 1, "wine_groups": 1})  # fmt: skip
    assert await shown(resources) == (["Of groups", "Penguins by species"], len(RULES))
    assert await events_stored(resources) == events > 1000  # Sent twice, stored once.

    told.clear()
    before = await jobs_asked(resources)
    await delete(resources, "wine")
    await load(resources, told.append)
    assert told == []
    assert await jobs_asked(resources) == before
    async with resources.database.reading() as session:
        models, _ = await registry.list_all(session, 100, 0)
    assert {model.description for model in models} == {"Ours."}
    assert "wine" not in (await found(resources))[0]  # What somebody deleted does not come back.


async def test_without_its_account_nothing_is_loaded(resources: Resources) -> None:
    told: list[str] = []
    await load(resources, told.append)
    assert [line.partition(":")[0] for line in told] == ["The demo content cannot be loaded"]
    assert await found(resources) == ({}, {})


async def test_without_the_analyst_dashboards_are_the_data_scientists(resources: Resources) -> None:
    await first_accounts.ensure_demo_accounts(resources)
    scientist = await loading.owner(resources)

    async def close(session: AsyncSession) -> None:
        found = await accounts.find(session, ANALYST)
        assert found
        assert (await showing.analyst(session, scientist)).id == found.id != scientist.id
        found.is_active = False
        await session.flush()
        assert await showing.analyst(session, scientist) is scientist

    await resources.database.write(close)


def test_the_plan_names_only_what_there_is_and_each_project_what_belongs_to_it() -> None:
    tables, models = [t.name for t in TABLES], [m.name for m in MODELS]
    assert (len(set(tables)), len(set(models))) == (15, 12)
    assert {name for plan in MODELS for name in plan.needs} <= set(tables)
    assert {name for plan in TABLES for name in plan.needs} <= set(tables)
    assert sorted(name for plan in PROJECTS for name in plan.tables) == sorted(tables)
    assert sorted(name for plan in PROJECTS for name in plan.models) == sorted(models)
    made_up = {plan.name: plan.description for plan in MODELS if plan.versions[0].is_made_up}
    assert ["made-up" in said for said in made_up.values()] == [True]


def test_dashboards_ask_what_there_is_and_no_two_ask_the_same() -> None:
    made = [plan.name for plan in (*TABLES, *MODELS, *DASHBOARDS)]
    assert len(DASHBOARDS) == 12
    assert len(set(made)) == len(made)
    for plan in DASHBOARDS:
        assert set(plan.needs) <= {one.name for one in (*TABLES, *MODELS)}
        asked = {w["query"]["dataset_id"].strip("{}") for w in plan.widgets if "query" in w}
        assert asked - {synthetic.Recipe(synthetic.Size()).name} <= set(plan.needs)
    kinds = {w["type"] for plan in DASHBOARDS for w in plan.widgets}
    assert kinds == {"metric", "line", "bar", "table", "events", "lineage", "markdown"}


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


async def shown(resources: Resources) -> tuple[list[str], int]:
    """The dashboards' names, and how many rules watch."""
    actor = await loading.owner(resources)
    async with resources.database.reading() as session:
        boards, _ = await dashboards.list_visible(session, actor, None, 100, 0)
        _, rules = await alerts.list_rules(session, 100, 0)
    return sorted(one.name for one in boards), rules


async def events_stored(resources: Resources) -> int:
    async with resources.database.reading() as session:
        return (await statistics.totals(session, EventFilters())).events


async def delete(resources: Resources, name: str) -> None:
    actor = await loading.owner(resources)

    async def unit(session: AsyncSession) -> None:
        query = datasets.living().where(Dataset.name == name)
        await datasets.delete(session, actor, (await session.scalars(query)).one())

    await resources.database.write(unit)
