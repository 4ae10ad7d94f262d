"""What the model registry offers to the rooms below it, and what it holds on a person."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import (
    Rows,
    Scope,
    Values,
    breakdown,
    columns_of,
    counts,
    figure,
    personal_data,
    streamed,
)

from .models import Model, ModelVersion, Stage


@counts("models")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    """All of them: what belongs to no project is the whole team's to read."""
    changed = func.count(Model.id).filter(Model.updated_at >= scope.since)
    columns: list[Any] = [func.count(Model.id), changed]
    found = (await session.execute(select(*columns))).one()
    return dict(zip(("total", "changed"), found, strict=True))


@personal_data("models", "Models that you own.")
def models(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Model)).where(Model.owner_id == user_id)
    return streamed(session, query.order_by(Model.id))


@personal_data("model_versions", "Model versions that you trained.")
def versions(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(ModelVersion, "storage_key")).where(
        ModelVersion.created_by == user_id
    )
    return streamed(session, query.order_by(ModelVersion.id))


# Figures ----------------------------------------------------------------------------------------


@figure("models", "models that there are")
async def total(session: AsyncSession) -> float | None:
    return await session.scalar(select(func.count(Model.id)))


@figure("models_in_production", "models with a version in production")
async def in_production(session: AsyncSession) -> float | None:
    query = select(func.count(ModelVersion.id))
    return await session.scalar(query.where(ModelVersion.stage == Stage.production))


@figure("model_accuracy", "mean held-out accuracy of the classifiers in production, 0 to 1")
async def accuracy(session: AsyncSession) -> float | None:
    query = select(ModelVersion.metrics).where(ModelVersion.stage == Stage.production)
    every = [metrics.get("accuracy") for metrics in await session.scalars(query)]
    known = [float(one) for one in every if one is not None]
    return sum(known) / len(known) if known else None


@breakdown("predictions", "requests that a version answered", "model", "version", grows=True)
async def predictions(session: AsyncSession) -> Values:
    return {(name, version): count for name, version, count, _ in await served(session)}


@breakdown("prediction_seconds", "what they took in all", "model", "version", grows=True)
async def prediction_seconds(session: AsyncSession) -> Values:
    return {(name, version): took / 1000 for name, version, _, took in await served(session)}


async def served(session: AsyncSession) -> list[tuple[str, str, int, float]]:
    """Of the versions that were ever asked, from counters in their rows."""
    query = (
        select(Model.name, ModelVersion.number, ModelVersion.served_count, ModelVersion.served_ms)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(ModelVersion.served_count > 0)
    )
    return [(name, str(n), count, took) for name, n, count, took in await session.execute(query)]
