"""Who did what to which thing: one row per change, in the transaction of the change."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Entity
from astralytiq.core.security import Actor


class AuditEntry(Entity):
    __tablename__ = "audit_entries"

    actor_id: Mapped[int | None] = mapped_column(index=True)
    actor_name: Mapped[str]
    action: Mapped[str] = mapped_column(index=True)
    resource: Mapped[str]
    outcome: Mapped[str]
    details: Mapped[dict[str, Any]]


def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    resource: str,
    *,
    outcome: str = "ok",
    **details: Any,
) -> None:
    """`action` reads "dataset.created", `resource` "dataset/7"; `details` hold no secret."""
    entry = AuditEntry(
        actor_id=actor.id,
        actor_name=actor.name,
        action=action,
        resource=resource,
        outcome=outcome,
        details=details,
    )
    session.add(entry)
