"""Makes a data set of the plan, by the steps a user would take, as far as it is not there yet."""

import asyncio
import shutil
from io import BytesIO
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import home
from astralytiq.core import audit, jobs
from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.jobs import FINISHED
from astralytiq.core.settings import Settings
from astralytiq.features.datasets import measuring, uploads
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import Dataset
from astralytiq.features.datasets.schemas import DatasetCreate, RuleBody, VersionCreate
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion import starting
from astralytiq.features.ingestion.schemas import CsvSource

from .desk import Desk
from .plans import Fields, Frozen, Table
from .tables import SOURCES


async def make(desk: Desk, plan: Table) -> str:
    """What came of it, in a few words."""
    if plan.file:
        await upload(desk, plan)
    for number, version in enumerate(plan.versions, 1):
        await freeze(desk, plan, number, version)
        if number == 1:
            await demand(desk, plan)
    await demand(desk, plan)
    return shown(await get(desk, plan.name))


def shown(dataset: Dataset) -> str:
    score = f", quality {dataset.quality_score:.1f}" if dataset.quality_score is not None else ""
    version = f", version {dataset.current}" if dataset.current > 1 else ""
    return f"{dataset.rows} rows x {dataset.columns} columns{version}{score}"


async def find(desk: Desk, session: AsyncSession, name: str) -> Dataset | None:
    mine = datasets.living().where(Dataset.owner_id == desk.actor.id, Dataset.name == name)
    return await session.scalar(mine)


async def get(desk: Desk, name: str) -> Dataset:
    """One that an earlier step made."""

    async def look(session: AsyncSession) -> Dataset:
        if found := await find(desk, session, name):
            return found
        raise NotFound(f"The data set {name!r} is gone: somebody deleted it meanwhile.")

    return await desk.read(look)


# From a file ------------------------------------------------------------------------------------


async def upload(desk: Desk, plan: Table) -> None:
    if await desk.read(lambda session: find(desk, session, plan.name)) is None:
        content = await asyncio.to_thread((home.SAMPLES / plan.file).read_bytes)
        async with desk.uploading:
            await uploads.upload(desk.resources, desk.actor, BytesIO(content), plan.file, plan.name)
    await desk.write(lambda session: describe(desk, session, plan))


async def describe(desk: Desk, session: AsyncSession, plan: Table) -> None:
    """An upload says nothing of itself; where a table comes from must stand beside it."""
    dataset = await find(desk, session, plan.name)
    if dataset and dataset.description is None:
        dataset.description = plan.description
        audit.record(session, desk.actor, "dataset.described", f"dataset/{dataset.id}")


# From records -----------------------------------------------------------------------------------


async def freeze(desk: Desk, plan: Table, number: int, version: Frozen) -> None:
    """What an earlier start asked for goes on, and is waited for before anything is judged."""
    await desk.done(lambda: desk.read(lambda session: freezing_already(desk, session, plan.name)))
    known = await desk.read(lambda session: find(desk, session, plan.name))
    if known and known.current >= number:
        return
    if version.files:
        await ingest(desk, plan.source, version.files)
    await desk.done(lambda: desk.write(lambda session: ask_to_freeze(desk, session, plan, version)))


async def freezing_already(desk: Desk, session: AsyncSession, name: str) -> str | None:
    dataset = await find(desk, session, name)
    last = await jobs.get(session, dataset.job_id) if dataset and dataset.job_id else None
    return last.id if last and last.status not in FINISHED else None


async def ask_to_freeze(
    desk: Desk, session: AsyncSession, plan: Table, version: Frozen
) -> str | None:
    origin = origin_of(plan, version)
    if dataset := await find(desk, session, plan.name):
        asked = VersionCreate.model_validate(origin)
        return (await datasets.freeze_again(session, desk.actor, dataset, asked)).id
    named = {"name": plan.name, "description": plan.description}
    body = DatasetCreate.model_validate(named | origin)
    made = await datasets.create(
        session,
        desk.actor,
        name=body.name,
        description=body.description,
        query=datasets.asked_for(body),
    )
    return made.job_id


def origin_of(plan: Table, version: Frozen) -> dict[str, Any]:
    if version.query:
        return {"from_query": {"source": plan.source, **version.query}}
    return {"from_records": {"source": plan.source}}


async def ingest(desk: Desk, source: str, files: tuple[str, ...]) -> None:
    """The files arrive, and the source is run."""
    settings = desk.resources.settings
    for file in files:
        await asyncio.to_thread(arrive, settings, file)
    await desk.write(lambda session: register(desk, session, source))
    await desk.done(lambda: desk.write(lambda session: run(desk, session, source)))


def arrive(settings: Settings, file: str) -> None:
    """Under a hidden name first: a run must not read half a file."""
    target = settings.home / "inbox" / file
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    shutil.copy(home.SAMPLES / file, draft)
    draft.replace(target)


async def register(desk: Desk, session: AsyncSession, source: str) -> None:
    spec = CsvSource.model_validate({"kind": "csv", "name": source, **SOURCES[source]})
    found = await ingestion.ensure_source(session, desk.actor, spec)
    if found.owner_id != desk.actor.id:
        raise Conflict(f"There is a source {source!r} of somebody else: the demo leaves it alone.")


async def run(desk: Desk, session: AsyncSession, source: str) -> str | None:
    return (await starting.run_of(session, desk.actor, source)).job_id


# Rules ------------------------------------------------------------------------------------------


async def demand(desk: Desk, plan: Table) -> None:
    dataset = await get(desk, plan.name)
    if plan.rules and not dataset.rules:
        rules = [await rule_of(desk, rule) for rule in plan.rules]
        await desk.done(lambda: put_rules(desk, dataset.id, rules))


async def rule_of(desk: Desk, rule: Fields) -> RuleBody:
    """With the id of the data set that it names."""
    if other := str(rule.get("dataset", "")).strip("{}"):
        rule = {**rule, "dataset": str((await get(desk, other)).id)}
    return RuleBody.model_validate(rule)


async def put_rules(desk: Desk, dataset_id: int, rules: list[RuleBody]) -> str | None:
    _, job_id = await measuring.put_rules(
        desk.resources, desk.actor, dataset_id, rules, lambda _: None
    )
    return job_id
