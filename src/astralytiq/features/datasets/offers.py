"""What the data-set room offers to the rooms below it."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import Scope, counts

from .models import Dataset


@counts("datasets")
async def count(session: AsyncSession, scope: Scope) -> dict[str, int]:
    """All of them: what belongs to no project is the whole team's to read."""
    changed = func.count(Dataset.id).filter(Dataset.updated_at >= scope.since)
    columns: list[Any] = [func.count(Dataset.id), changed]
    query = select(*columns).where(Dataset.deleted_at.is_(None))
    return dict(zip(("total", "changed"), (await session.execute(query)).one(), strict=True))
