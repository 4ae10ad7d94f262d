"""Profiles and quality of versions: measured from the file, stored beside the version.

Small tables are measured when they are made, larger ones by a job afterwards.
"""
# ruff: noqa: PLC0415 - the engines need NumPy and pyarrow: only those who touch data pay for them

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import AppError, Fault, Invalid, NotFound
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import Storage

from . import service, tables
from .models import Dataset, DatasetProfile, DatasetVersion
from .schemas import RuleBody
from .tables import Written

if TYPE_CHECKING:
    from astralytiq.engines.tabular.reading import Field, Table
    from astralytiq.engines.tabular.rules import Rule

log = logging.getLogger(__name__)

JOB = "datasets.measure"
# Measured within a tenth of a second or two.
SMALL_CELLS = 1_000_000
Stored = Mapping[str, Any]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Measured:
    profile: dict[str, Any]
    quality: dict[str, Any]

    @property
    def score(self) -> float | None:
        found: float | None = self.quality["score"]
        return found


@dataclass(frozen=True)
class Demands:
    """Rules as they are stored, and where the files are that they refer to (None: nowhere)."""

    rules: Sequence[Stored]
    keys: Mapping[str, str | None]


NONE = Demands((), {})


# Measuring --------------------------------------------------------------------------------------


def measure(
    storage: Storage,
    key: str,
    demands: Demands,
    as_of: datetime,
    known: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Blocks: call it from a thread. With a `known` profile only the quality is measured."""
    from astralytiq.engines.tabular import profile as profiles
    from astralytiq.engines.tabular import quality as qualities
    from astralytiq.engines.tabular.reading import Table

    with ExitStack() as held:
        path = held.enter_context(storage.local(key))
        found = profiles.restored(known) if known else profiles.profile(path, progress=progress)
        with Table(path) as table:
            judged = judged_by(demands, table, storage, held)
        rules = [rule for rule, _ in judged if rule]
        made = asdict(qualities.quality(path, found, rules, as_of=as_of))
    faults = iter(made["rules"])
    made["rules"] = [
        shown(stored, next(faults) if rule else None, problem)
        for stored, (rule, problem) in zip(demands.rules, judged, strict=True)
    ]
    return Measured(known or storable(asdict(found)), storable(made))


def storable(value: Any) -> Any:
    """Without NUL, which PostgreSQL's JSON does not hold: values of the table stand in here."""
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [storable(one) for one in value]
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def judged_by(
    demands: Demands, table: "Table", storage: Storage, held: ExitStack
) -> "list[tuple[Rule | None, str | None]]":
    """Files that rules refer to stay on this machine while `held` is open."""
    files: dict[str, Path] = {}
    for reference, key in demands.keys.items():
        with suppress(NotFound):
            if key is not None:
                files[reference] = held.enter_context(storage.local(key))
    return [judge(one, files, table.fields) for one in demands.rules]


def judge(
    stored: Stored, files: Mapping[str, Path], fields: "Sequence[Field]"
) -> "tuple[Rule | None, str | None]":
    """The rule for the engine, or why it cannot be applied to a table of these columns."""
    from astralytiq.engines.tabular import rules

    path: Path | None = None
    if reference := stored.get("dataset"):
        path = files.get(reference)
        if path is None:
            return None, f"The data set {reference} of the rule is not there any more."
    given = {name: value for name, value in stored.items() if name != "dataset"}
    lists = {name: tuple(given.get(name, ())) for name in ("columns", "values")}
    rule = rules.Rule(**{**given, **lists, "path": path})
    problems = rules.problems(rule, fields)
    return (None, problems[0]) if problems else (rule, None)


def shown(stored: Stored, fault: dict[str, Any] | None, problem: str | None) -> dict[str, Any]:
    found = {name: value for name, value in (fault or {}).items() if name not in ("column", "rule")}
    passed = None if fault is None else fault["rows_affected"] == 0
    return {"rule": dict(stored), "passed": passed, "problem": problem, **found}


def at_once(storage: Storage, written: Written, demands: Demands) -> Measured | None:
    """Of a small table. What goes wrong here goes wrong again in the job, where it is told."""
    if written.rows * len(written.columns) > SMALL_CELLS:
        return None
    try:
        return measure(storage, written.stored.key, demands, utc_now())
    except Exception:
        log.exception("a new version could not be measured")
        return None


# Storing ----------------------------------------------------------------------------------------


async def keep(
    session: AsyncSession, dataset: Dataset, version: DatasetVersion, measured: Measured
) -> None:
    row = await session.scalar(select(DatasetProfile).filter_by(version_id=version.id))
    if row is None:
        row = DatasetProfile(version_id=version.id)
        session.add(row)
    row.profile, row.quality, row.score = measured.profile, measured.quality, measured.score
    row.created_at = utc_now()
    if version.number == dataset.current:
        dataset.quality_score = measured.score
    await session.flush()


async def row_of(session: AsyncSession, version: DatasetVersion) -> DatasetProfile | None:
    return await session.scalar(select(DatasetProfile).filter_by(version_id=version.id))


async def settle(
    session: AsyncSession,
    actor: Actor,
    dataset: Dataset,
    version: DatasetVersion,
    measured: Measured | None,
) -> None:
    """Of a version that was just added: what was found in it, or a job that is to look."""
    if measured:
        await keep(session, dataset, version, measured)
    elif not await row_of(session, version):
        dataset.quality_score = None
        await ask(session, actor, version)


async def ask(session: AsyncSession, actor: Actor, version: DatasetVersion) -> jobs.Job:
    job = await jobs.enqueue(session, JOB, owner_id=actor.id, version_id=version.id)
    assert job  # Only an idempotency key can keep a job out.
    return job


async def demands_of(session: AsyncSession, dataset_id: int) -> Demands:
    """Of a set that is there; of one that was deleted, none."""
    dataset = await session.get(Dataset, dataset_id)
    return await looked_up(session, dataset.rules if dataset else ())


async def looked_up(session: AsyncSession, rules: Sequence[Stored]) -> Demands:
    keys: dict[str, str | None] = {}
    for reference in {str(rule["dataset"]) for rule in rules if rule.get("dataset")}:
        try:
            keys[reference] = (await service.resolve(session, reference)).storage_key
        except AppError:
            keys[reference] = None
    return Demands(rules, keys)


# Rules ------------------------------------------------------------------------------------------


async def put_rules(
    resources: Resources,
    actor: Actor,
    dataset_id: int,
    wanted: Sequence[RuleBody],
    unchanged: Callable[[Dataset], None],
) -> tuple[Dataset, str | None]:
    """The set, and the id of the job that measures its newest version by them, if there is one."""
    rules = [rule.model_dump(mode="json", exclude_defaults=True) for rule in wanted]
    async with resources.database.reading() as session:
        unchanged(dataset := await service.get_own(session, actor, dataset_id))
        demands = await looked_up(session, rules)
        version = await service.get_version(session, dataset_id) if dataset.current else None
    if version:
        await asyncio.to_thread(refuse_wrong, resources.storage, version, demands)

    async def store(session: AsyncSession) -> tuple[Dataset, str | None]:
        unchanged(dataset := await service.get_own(session, actor, dataset_id))
        dataset.rules = rules
        resource = f"dataset/{dataset_id}"
        audit.record(session, actor, "dataset.rules_changed", resource, rules=len(rules))
        await session.flush()
        if dataset.current == 0:
            return dataset, None
        return dataset, (
            await ask(session, actor, await service.get_version(session, dataset_id))
        ).id

    return await resources.database.write(store)


def refuse_wrong(storage: Storage, version: DatasetVersion, demands: Demands) -> None:
    from astralytiq.engines.tabular.reading import Table

    with ExitStack() as held:
        path = held.enter_context(tables.file_of(storage, version))
        with Table(path) as table:
            judged = judged_by(demands, table, storage, held)
    faults = tuple(
        Fault(("body", "rules", place), problem)
        for place, (_, problem) in enumerate(judged)
        if problem
    )
    if faults:
        raise Invalid(f"Correct and send again: {faults[0].msg}", faults=faults)
