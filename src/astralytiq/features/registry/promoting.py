"""Rules for stages: any from any, and one version in production at any moment."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Forbidden
from astralytiq.core.security import Actor

from . import origins, serving
from .models import Model, ModelVersion, Stage
from .service import ask_to_mirror, get, get_version, may_change


async def change_stage(
    session: AsyncSession, actor: Actor, model: Model, number: int, stage: Stage
) -> ModelVersion:
    """Any stage from any. The version that was in production before is archived."""
    if not may_change(actor, model):
        raise Forbidden("Only the model's owner or an admin may change stages.")
    version = await get_version(session, model, number)
    before, model.updated_at = version.stage, utc_now()
    await session.flush()  # Raises the model's row version: of two at once the second is stale.
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
    resource = f"model/{model.name}/{number}"
    audit.record(session, actor, "model.stage_changed", resource, before=before, after=stage)
    serving.changed(session, model.name)
    await ask_to_mirror(session, actor, model.name)
    await session.flush()
    return version


@dataclass(frozen=True)
class Tracked:
    """A version with its MLflow run."""

    number: int
    mlflow_run_id: str


async def tracked_stages(session: AsyncSession, name: str) -> dict[str, Tracked | None]:
    """Each MLflow alias, and the version it belongs to: the newest one of that stage."""
    model = await get(session, name)
    wanted: dict[str, Tracked | None] = {"newest": None, "staging": None, "production": None}
    query = (
        select(ModelVersion)
        .where(ModelVersion.model_id == model.id, ModelVersion.mlflow_run_id.is_not(None))
        .order_by(ModelVersion.number)
    )
    for version in await session.scalars(query):
        found = Tracked(version.number, str(version.mlflow_run_id))
        wanted["newest"] = found
        if version.stage in wanted:
            wanted[version.stage] = found
    return wanted
