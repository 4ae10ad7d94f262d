"""What the audit trail holds on a person, beside what `core.audit.forget` clears."""

from typing import Any

from sqlalchemy import CursorResult, Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from astralytiq.core.audit import AuditEntry
from astralytiq.core.offers import (
    Erasure,
    Rows,
    account_erased,
    columns_of,
    personal_data,
    streamed,
)

CHAIN = ("address_salt", "address_digest", "previous_hash", "hash")


@personal_data("audit", "What you did, from which address; and who was refused as you.")
async def audit(session: AsyncSession, user_id: int) -> Rows:
    """In parts, each in the order of an index: nothing is sorted in memory."""
    query = select(*columns_of(AuditEntry, *CHAIN)).order_by(AuditEntry.id)
    nobody = query.where(AuditEntry.actor_id.is_(None))
    for part in (
        query.where(AuditEntry.actor_id == user_id),
        nobody.where(AuditEntry.resource == f"user/{user_id}"),
        nobody.where(AuditEntry.resource.in_(keys_of(user_id))),
    ):
        async for row in streamed(session, part):
            yield row


@account_erased("addresses")
async def forget_addresses(session: AsyncSession, erasure: Erasure) -> int:
    """Where refused keys of the person came from: such an entry has no actor."""
    refused = AuditEntry.resource.in_(keys_of(erasure.user_id)) & AuditEntry.actor_id.is_(None)
    cleared = (
        update(AuditEntry)
        .where(refused, AuditEntry.address.is_not(None))
        .values(address=None, address_salt=None)
        .execution_options(synchronize_session=False)
    )
    done: CursorResult[Any] = await session.execute(cleared)  # type: ignore[assignment]
    return done.rowcount


def keys_of(user_id: int) -> Select[str]:
    """All keys that the person ever made, also those that are gone."""
    made = aliased(AuditEntry)
    return select(made.resource).where(made.actor_id == user_id, made.action == "key.created")
