"""What the job room holds on a person, and how jobs forget who asked for them."""

from typing import Any

from sqlalchemy import Text, and_, cast, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.jobs import Job
from astralytiq.core.logging import redact
from astralytiq.core.offers import (
    Erasure,
    Rows,
    account_erased,
    columns_of,
    personal_data,
    streamed,
)

# How a job is run, and by which machine, is nothing about the person.
INNER = ("lease_owner", "lease_until", "fence", "checkpoint", "idempotency_key")


@personal_data("jobs", "Background jobs that you asked for.")
async def jobs(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Job, *INNER)).where(Job.owner_id == user_id)
    async for row in streamed(session, query):
        yield row | {"arguments": redact(row["arguments"])}


@account_erased("jobs")
async def forget_name(session: AsyncSession, erasure: Erasure) -> int:
    """In jobs of the person, which name who asked, and in others that hold the address."""
    arguments = cast(Job.arguments, Text)
    own = and_(Job.owner_id == erasure.user_id, arguments.contains("actor_name"))
    named = or_(own, arguments.contains(erasure.email, autoescape=True))
    found = (await session.execute(select(Job.id, Job.arguments).where(named))).all()
    rows = [{"id": row.id, "arguments": renamed(row.arguments, erasure)} for row in found]
    if rows:
        await session.execute(update(Job), rows)
    return len(rows)


def renamed(arguments: dict[str, Any], erasure: Erasure) -> dict[str, Any]:
    """An actor's name is the address as it was then, which may have changed since."""
    asked = arguments.get("actor_id") == erasure.user_id and "actor_name" in arguments
    own = {"actor_name": erasure.pseudonym} if asked else {}
    kept: dict[str, Any] = without_address(arguments, erasure)
    return kept | own


def without_address(value: Any, erasure: Erasure) -> Any:
    if isinstance(value, str):
        return value.replace(erasure.email, erasure.pseudonym)
    if isinstance(value, dict):
        return {name: without_address(item, erasure) for name, item in value.items()}
    return [without_address(item, erasure) for item in value] if isinstance(value, list) else value
