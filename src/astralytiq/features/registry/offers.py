"""What the model registry offers to the rooms below it."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Scope, counts

from .models import Model


@counts("models")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    """All of them: what belongs to no project is the whole team's to read."""
    changed = func.count(Model.id).filter(Model.updated_at >= scope.since)
    columns: list[Any] = [func.count(Model.id), changed]
    found = (await session.execute(select(*columns))).one()
    return dict(zip(("total", "changed"), found, strict=True))
