"""What the model registry offers to the rooms below it, and what it holds on a person."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Rows, Scope, columns_of, counts, personal_data, streamed

from .models import Model, ModelVersion


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
