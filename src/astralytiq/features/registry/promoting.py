"""Rules for stages: any from any, and one version in production at any moment."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Forbidden
from astralytiq.core.jobs import Job
from astralytiq.core.security import Actor

from . import origins, serving
from .external import refuse_external
from .gates import Judgement, judge, result_of
from .models import Model, ModelVersion, Stage
from .schemas import Gate
from .service import ask_to_mirror, get, get_version, may_change


@dataclass(frozen=True)
class Change:
    """A stage that was changed, and what the gate before it found."""

    version: ModelVersion
    judged: Judgement | None = None


async def hold(session: AsyncSession, name: str) -> Model:
    """Until the transaction ends nobody else changes its stages: a gate is judged against the
    version that is in production then."""
    model = await get(session, name)
    await session.refresh(model, with_for_update=True)
    return model


async def change_stage(
    session: AsyncSession,
    actor: Actor,
    model: Model,
    number: int,
    stage: Stage,
    gate: Gate | None = None,
    **more: Any,
) -> Change:
    """Any stage from any, if the gate lets it. The version in production before is archived.

    The model must be held; `more` goes on record.
    """
    refuse_strangers(actor, model)
    version = await get_version(session, model, number)
    if stage is Stage.production:
        refuse_external(model.name, version)
    judged = await passed(session, actor, model, version, gate) if gate else None
    before, model.updated_at = version.stage, utc_now()
    await session.flush()  # Raises the model's row version.
    if stage is Stage.production and before is not Stage.production:
        # At once, as the unique index allows one version in production at any moment.
        await session.execute(
            update(ModelVersion)
            .where(ModelVersion.model_id == model.id, ModelVersion.stage == Stage.production)
            .values(stage=Stage.archived)
        )
        version.deployed_at, version.served_before = utc_now(), version.served_count
    if stage is Stage.production:
        await origins.connect_deployment(session, model.name, version)
    version.stage = stage
    if judged:
        more["gate"] = recorded(judged)
    resource = resource_of(model, number)
    audit.record(
        session, actor, "model.stage_changed", resource, before=before, after=stage, **more
    )
    serving.changed(session, model.name)
    await ask_to_mirror(session, actor, model.name)
    await session.flush()
    return Change(version, judged)


def refuse_strangers(actor: Actor, model: Model) -> None:
    if not may_change(actor, model):
        raise Forbidden("Only the model's owner or an admin may change it or its stages.")


async def passed(
    session: AsyncSession, actor: Actor, model: Model, version: ModelVersion, gate: Gate
) -> Judgement:
    """Raises Conflict, and keeps the try on record, if it does not pass."""
    champion = await in_production(session, model)
    if champion is version:
        champion = None
    compared = None
    if gate.comparison and champion:
        job = await session.get(Job, gate.comparison)
        compared = result_of(job, model.name, version.number, champion.number)
    judged = judge(gate, version, champion, compared)
    if faults := judged.faults:
        audit.record(
            session,
            actor,
            "model.promotion_refused",
            resource_of(model, version.number),
            outcome="refused",
            gate=recorded(judged),
        )
        words = f"Version {version.number} of {model.name!r} does not pass the gate"
        raise Conflict(f"{words}: {'. Also, '.join(faults)}.", keep=True)
    return judged


def recorded(judged: Judgement) -> dict[str, Any]:
    return judged.read().model_dump(exclude_none=True)


def resource_of(model: Model, number: int) -> str:
    return f"model/{model.name}/{number}"


async def in_production(session: AsyncSession, model: Model) -> ModelVersion | None:
    query = select(ModelVersion).filter_by(model_id=model.id, stage=Stage.production)
    return await session.scalar(query)


async def roll_back(session: AsyncSession, actor: Actor, model: Model) -> Change:
    """Back to the version that was in production before; the model must be held.

    No later roll-back returns to the one that is left now, unless it is promoted again.
    """
    refuse_strangers(actor, model)
    left = await in_production(session, model)
    former = await session.scalar(deployed_before(model, left))
    if former is None:
        raise Conflict(
            f"No other version of {model.name!r} was in production before: promote one with "
            f"POST /api/v1/models/{model.name}/versions/{model.latest}/stage."
        )
    if left is None:
        return await change_stage(session, actor, model, former.number, Stage.production)
    left.rolled_back_at = utc_now()
    return await change_stage(
        session, actor, model, former.number, Stage.production, rolled_back_from=left.number
    )


def deployed_before(model: Model, left: ModelVersion | None) -> Select[ModelVersion]:
    """The one that was deployed last, of those that nobody rolled back from since."""
    query = select(ModelVersion).where(
        ModelVersion.model_id == model.id,
        ModelVersion.deployed_at.is_not(None),
        or_(
            ModelVersion.rolled_back_at.is_(None),
            ModelVersion.rolled_back_at < ModelVersion.deployed_at,
        ),
    )
    if left:
        query = query.where(ModelVersion.id != left.id)
    return query.order_by(ModelVersion.deployed_at.desc(), ModelVersion.id.desc()).limit(1)


@dataclass(frozen=True)
class Tracked:
    """A version with its MLflow run, or with MLflow's own number where a client registered it."""

    number: int
    mlflow_run_id: str
    mlflow_version: str | None


async def tracked_stages(session: AsyncSession, name: str) -> dict[str, Tracked | None]:
    """Each MLflow alias, and the version it belongs to: the newest one of that stage."""
    model = await get(session, name)
    wanted: dict[str, Tracked | None] = {"newest": None, "staging": None, "production": None}
    query = (
        select(ModelVersion)
        .where(ModelVersion.model_id == model.id)
        .where(ModelVersion.mlflow_run_id.is_not(None) | ModelVersion.mlflow_version.is_not(None))
        .order_by(ModelVersion.number)
    )
    for version in await session.scalars(query):
        found = Tracked(version.number, version.mlflow_run_id or "", version.mlflow_version)
        wanted["newest"] = found
        if version.stage in wanted:
            wanted[version.stage] = found
    return wanted
