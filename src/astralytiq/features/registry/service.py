"""Rules for models: how versions are added, promoted, found for serving, and counted."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import __version__
from astralytiq.core import audit, jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Forbidden, Invalid, NotFound
from astralytiq.core.security import Actor

from . import origins
from .models import Model, ModelVersion, Stage
from .schemas import ModelRead, ModelVersionRead

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")
NAME_RULE = "1 to 100 letters, digits, '-', '_' or '.', beginning with a letter or digit"
DAY_SECONDS = 86_400
DIGITS = 10  # of a number that every database can hold


@dataclass(frozen=True)
class Trained:
    """A model as training hands it over; the file is stored already.

    What was made elsewhere has no data set version and no seed.
    """

    algorithm: str
    task: str
    params: dict[str, Any]
    metrics: dict[str, float]
    evaluation: dict[str, Any]
    features: list[dict[str, str]]
    target: str
    classes: list[Any]
    dataset_version_id: int | None
    dataset: str
    seed: int | None
    storage_key: str
    sha256: str
    size_bytes: int
    environment: dict[str, Any] | None
    mlflow_run_id: str | None
    job_id: str


# Finding ----------------------------------------------------------------------------------------


def fits(name: str) -> bool:
    """Whether a model may have this name: it is part of paths and storage keys."""
    return NAME.fullmatch(name) is not None


async def get(session: AsyncSession, name: str) -> Model:
    known = await session.scalar(select(Model).where(Model.name == name)) if fits(name) else None
    if known:
        return known
    raise NotFound(f"There is no model {name!r}.")


async def get_version(session: AsyncSession, model: Model, number: int) -> ModelVersion:
    if not 1 <= number <= model.latest:
        raise NotFound(f"The model {model.name!r} has no version {number}.")
    query = select(ModelVersion).filter_by(model_id=model.id, number=number)
    return (await session.scalars(query)).one()


async def by_reference(session: AsyncSession, reference: str) -> ModelVersion:
    """The version that "flowers@3" names."""
    name, _, number = reference.rpartition("@")
    if not (number.isascii() and number.isdigit() and len(number) < DIGITS):
        raise NotFound(f"{reference!r} names no model version: write 'flowers@3'.")
    return await get_version(session, await get(session, name), int(number))


async def list_all(session: AsyncSession, limit: int, offset: int) -> tuple[list[ModelRead], int]:
    total = await session.scalar(select(func.count(Model.id))) or 0
    query = select(Model).order_by(Model.id.desc()).limit(limit).offset(offset)
    models = (await session.scalars(query)).all()
    shown = await shown_versions(session, models)
    return [summary(model, shown[model.id]) for model in models if model.id in shown], total


async def shown_versions(session: AsyncSession, models: Sequence[Model]) -> dict[int, ModelVersion]:
    """Of each model the version in production, else the newest."""
    newest: Select[ModelVersion] = (
        select(ModelVersion)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(Model.id.in_([model.id for model in models]))
        .where((ModelVersion.number == Model.latest) | (ModelVersion.stage == Stage.production))
    )
    shown: dict[int, ModelVersion] = {}
    for version in await session.scalars(newest):
        if version.stage is Stage.production or version.model_id not in shown:
            shown[version.model_id] = version
    return shown


def summary(model: Model, version: ModelVersion) -> ModelRead:
    metrics = version.metrics
    served = version.served_count
    return ModelRead(
        id=model.id,
        name=model.name,
        description=model.description,
        type=version.algorithm,
        version=version.number,
        latest_version=model.latest,
        owner_id=model.owner_id,
        accuracy=metrics.get("accuracy"),
        precision_score=metrics.get("precision"),
        recall_score=metrics.get("recall"),
        f1_score=metrics.get("f1_score"),
        status=version.stage,
        dataset=version.dataset,
        created_at=model.created_at,
        updated_at=model.updated_at,
        deployment_date=version.deployed_at,
        requests_per_day=requests_per_day(version, utc_now()),
        avg_latency_ms=round(version.served_ms / served, 3) if served else None,
    )


def requests_per_day(version: ModelVersion, now: datetime) -> float | None:
    """A deployment of an hour is counted as a day: three requests in it are no 72 a day."""
    if version.stage is not Stage.production or version.deployed_at is None:
        return None
    days = max(1.0, (now - version.deployed_at).total_seconds() / DAY_SECONDS)
    return round((version.served_count - version.served_before) / days, 3)


async def read(session: AsyncSession, name: str) -> tuple[Model, ModelRead]:
    model = await get(session, name)
    shown = await shown_versions(session, [model])
    if model.id not in shown:
        raise NotFound(f"The model {name!r} has no version yet.")
    return model, summary(model, shown[model.id])


async def list_versions(
    session: AsyncSession, name: str, limit: int, offset: int
) -> tuple[list[ModelVersionRead], int]:
    model = await get(session, name)
    query = select(ModelVersion).where(ModelVersion.model_id == model.id)
    newest = query.order_by(ModelVersion.number.desc()).limit(limit).offset(offset)
    return [describe(model, version) for version in await session.scalars(newest)], model.latest


def describe(model: Model, version: ModelVersion) -> ModelVersionRead:
    fields = {
        name: getattr(version, name)
        for name in ModelVersionRead.model_fields
        if name not in NOT_COLUMNS
    }
    return ModelVersionRead.model_validate(
        {**fields, "model": model.name, "version": version.number}
    )


NOT_COLUMNS = frozenset({"model", "version"})
MIRROR_JOB = "registry.mirror"


def trained_on(version: ModelVersion) -> int:
    """The data set version that it was trained on, by its id."""
    if version.dataset_version_id is None:
        raise Conflict(
            "This version was not trained here, so no data set, parameters or seed of it are "
            "known: ask whoever made it."
        )
    return version.dataset_version_id


# Adding -----------------------------------------------------------------------------------------


async def refuse_foreign(session: AsyncSession, actor: Actor, name: str) -> None:
    """Whether `actor` may train versions of the model `name`, which need not exist yet."""
    if not fits(name):
        raise Invalid(f"{name!r} cannot name a model: use {NAME_RULE}.")
    found = await session.scalar(select(Model).where(Model.name == name))
    if found and not may_change(actor, found):
        raise Forbidden(f"The model {name!r} is somebody else's: choose another name.")


def may_change(actor: Actor, model: Model) -> bool:
    return actor.is_admin or model.owner_id == actor.id


async def version_of_job(session: AsyncSession, job_id: str) -> ModelVersion | None:
    return await session.scalar(select(ModelVersion).where(ModelVersion.job_id == job_id))


async def add_version(
    session: AsyncSession, actor: Actor, name: str, trained: Trained, *, sent: str = ""
) -> ModelVersion:
    """The next version of `name`, made if it is new; a job that runs again finds its version.

    Of what was made elsewhere `sent` is the SHA-256 of the file as it came.
    """
    if known := await version_of_job(session, trained.job_id):
        return known
    model = await session.scalar(select(Model).where(Model.name == name).with_for_update())
    if model is None:
        model = Model(name=name, owner_id=actor.account_id, latest=0)
        session.add(model)
        await session.flush()  # The version needs the new id.
    model.latest += 1
    version = ModelVersion(
        **asdict(trained),
        model_id=model.id,
        number=model.latest,
        code_version=__version__,
        created_by=actor.id,
    )
    session.add(version)
    audit.record(
        session, actor, "model.version_added", f"model/{name}/{model.latest}", job_id=trained.job_id
    )
    await ask_to_mirror(session, actor, name)
    await session.flush()
    if sent:
        await origins.connect_upload(session, name, version, sent)
    else:
        await origins.connect_training(session, name, version)
    return version


async def ask_to_mirror(session: AsyncSession, actor: Actor, name: str) -> None:
    """MLflow hears of it after the commit; while it is away, we go on."""
    await jobs.enqueue(session, MIRROR_JOB, owner_id=actor.id, model=name)


async def version_by_id(session: AsyncSession, version_id: int) -> ModelVersion:
    return await session.get_one(ModelVersion, version_id)
