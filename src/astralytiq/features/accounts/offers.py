"""What the accounts room holds on a person, and what goes with an account."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, CursorResult, delete, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import idempotency
from astralytiq.core.db import Base, utc_now
from astralytiq.core.idempotency import IdempotencyKey
from astralytiq.core.offers import Erasure, Rows, account_erased, figure, personal_data, streamed

from .models import ApiKey, User, UserSession

# Named one by one, as new columns may hold secrets.
ACCOUNT = (
    User.id, User.email, User.username, User.full_name, User.department, User.role,
    User.is_active, User.created_at, User.updated_at, User.last_login,
)  # fmt: skip
SESSION = (
    UserSession.id, UserSession.device, UserSession.address, UserSession.created_at,
    UserSession.last_seen_at, UserSession.ended_at,
)  # fmt: skip
KEY = (
    ApiKey.id, ApiKey.name, ApiKey.prefix, ApiKey.scopes, ApiKey.created_at, ApiKey.expires_at,
    ApiKey.last_used_at,
)  # fmt: skip
REQUEST = (
    IdempotencyKey.route, IdempotencyKey.key, IdempotencyKey.status, IdempotencyKey.created_at,
)  # fmt: skip


@personal_data("account", "Your account: names, role, dates.")
def account(session: AsyncSession, user_id: int) -> Rows:
    return streamed(session, select(*ACCOUNT).where(User.id == user_id))


@personal_data("sessions", "Your sign-ins: device, network address, when.")
def sign_ins(session: AsyncSession, user_id: int) -> Rows:
    query = select(*SESSION).where(UserSession.user_id == user_id)
    return streamed(session, query.order_by(UserSession.created_at))


@personal_data("api_keys", "Your API keys, without their secrets.")
def api_keys(session: AsyncSession, user_id: int) -> Rows:
    return streamed(session, select(*KEY).where(ApiKey.user_id == user_id).order_by(ApiKey.id))


@personal_data("requests", "Requests with an Idempotency-Key: their answers are kept for a day.")
def requests(session: AsyncSession, user_id: int) -> Rows:
    query = select(*REQUEST).where(IdempotencyKey.actor == str(user_id))
    return streamed(session, query.order_by(IdempotencyKey.id))


@account_erased("requests")
async def forget_requests(session: AsyncSession, erasure: Erasure) -> int:
    return await idempotency.forget_actor(session, str(erasure.user_id))


@account_erased("belongings")
async def remove_belongings(session: AsyncSession, erasure: Erasure) -> int:
    """Sessions with their refresh tokens, keys, links sent by e-mail.

    The account's row stays: what would be deleted with it is deleted here.
    """
    gone = 0
    for owner in owner_columns():
        theirs = delete(owner.table).where(owner == erasure.user_id)
        done: CursorResult[Any] = await session.execute(theirs)  # type: ignore[assignment]
        gone += done.rowcount
    return gone


def owner_columns() -> list[Column[Any]]:
    keys = (key for table in Base.metadata.sorted_tables for key in table.foreign_keys)
    mine = (key for key in keys if key.column is User.__table__.c.id)
    return [key.parent for key in mine if key.ondelete == "CASCADE"]


# Figures ----------------------------------------------------------------------------------------

DAY = timedelta(days=1)


@figure("users_active", "accounts that signed in or used a key within the last day")
async def active(session: AsyncSession) -> float | None:
    since = utc_now() - DAY
    signed_in = select(UserSession.user_id).where(UserSession.last_seen_at >= since)
    by_key = select(ApiKey.user_id).where(ApiKey.last_used_at >= since)
    return await session.scalar(
        select(func.count()).select_from(union(signed_in, by_key).subquery())
    )
