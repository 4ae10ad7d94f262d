"""Rules for accounts: who may come in, and as whom."""

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor, Role
from astralytiq.core.settings import Settings

from . import credentials, sessions
from .models import User

log = logging.getLogger(__name__)

ADMINS_LOCK = 0x0AD1  # any number that nothing else locks
TAKEN = "This email or username is taken: sign in, or choose another."


def actor_for(user: User, via: str) -> Actor:
    return Actor(user.id, user.email, security.scopes_of(user.role), user.role, via)


async def find(session: AsyncSession, account: str) -> User | None:
    """By email or username, without regard to case."""
    wanted = account.strip().lower()
    return await session.scalar(
        select(User).where(or_(User.email == wanted, func.lower(User.username) == wanted))
    )


async def list_all(session: AsyncSession, limit: int, offset: int) -> tuple[Sequence[User], int]:
    total = await session.scalar(select(func.count(User.id))) or 0
    query = select(User).order_by(User.id).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total


async def create(
    session: AsyncSession,
    actor: Actor,
    *,
    email: str,
    username: str,
    password_hash: str,
    role: Role,
    full_name: str | None = None,
) -> User:
    if await find(session, email) or await find(session, username):
        raise Conflict(TAKEN)
    user = User(
        email=email.lower(),
        username=username,
        full_name=full_name,
        role=role,
        password_hash=password_hash,
    )
    session.add(user)
    await session.flush()  # The audit row needs the new id.
    audit.record(session, actor, "user.created", f"user/{user.id}", role=role)
    return user


async def register(
    resources: Resources, *, email: str, username: str, password: str, full_name: str | None
) -> User:
    settings = resources.settings
    if not settings.allow_registration:
        raise Forbidden("Registration is closed here: ask an admin for an account.")
    hashed = await security.hash_password(password)  # Slow: outside the transaction.

    async def store(session: AsyncSession) -> User:
        return await create(
            session,
            SYSTEM,
            email=email,
            username=username,
            password_hash=hashed,
            role=Role(settings.default_role),
            full_name=full_name,
        )

    try:
        return await resources.database.write(store)
    except (Conflict, IntegrityError):  # Existing clients know this answer.
        raise BadRequest(TAKEN) from None


# Changing accounts ------------------------------------------------------------------------------


async def get(session: AsyncSession, user_id: int, *, lock: bool = True) -> User:
    """`lock` it to change it; a read-only transaction may not."""
    if found := await session.get(User, user_id, with_for_update=lock or None):
        return found
    raise NotFound(f"There is no account {user_id}.")


async def change_self(session: AsyncSession, actor: Actor, fields: dict[str, Any]) -> User:
    user = await get(session, actor.account_id)
    await apply(session, actor, user, fields)
    return user


async def change(session: AsyncSession, actor: Actor, user: User, fields: dict[str, Any]) -> User:
    """What admins change. A new role or a closed account ends every session at once."""
    if user.is_erased:
        raise Conflict("This account was erased: make a new one for whoever needs it.")
    loses_admin = fields.get("role", Role.admin) is not Role.admin or not fields.get("is_active", 1)
    if user.role is Role.admin and user.is_active and loses_admin:
        await refuse_last_admin(session, user)
    powers = {"role", "is_active"} & {k for k, v in fields.items() if v != getattr(user, k)}
    await apply(session, actor, user, fields)
    if powers:
        await sessions.end_all(session, user.id)
    return user


async def apply(session: AsyncSession, actor: Actor, user: User, fields: dict[str, Any]) -> None:
    if email := fields.get("email"):
        fields["email"] = email.lower()
    for name in ("email", "username"):
        if name in fields and (other := await find(session, fields[name])) and other is not user:
            raise Conflict(f"This {name} is taken: choose another.")
    for name, value in fields.items():
        setattr(user, name, value)
    audit.record(session, actor, "user.changed", f"user/{user.id}", fields=sorted(fields))
    credentials.revoke(session, user.id)
    await session.flush()


async def refuse_last_admin(session: AsyncSession, user: User) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # Two admins who leave at the same moment must not both find the other still there.
        await session.execute(text(f"SELECT pg_advisory_xact_lock({ADMINS_LOCK})"))
    others = select(func.count(User.id)).where(
        User.role == Role.admin, User.is_active, User.id != user.id
    )
    if not await session.scalar(others):
        raise Conflict("This is the last admin: make another account an admin first.")


async def set_password(
    resources: Resources, actor: Actor, user_id: int, new: str, *, but: str | None = None
) -> None:
    refuse_common(resources.settings, new)
    hashed = await security.hash_password(new)

    async def store(session: AsyncSession) -> None:
        user = await get(session, user_id)
        user.password_hash = hashed
        await sessions.end_all(session, user_id, but=but)
        audit.record(session, actor, "user.password_changed", f"user/{user_id}")

    await resources.database.write(store)


def refuse_common(settings: Settings, password: str) -> None:
    if not security.is_common(password):
        return
    if settings.production:
        raise Invalid("This password is on every list of common ones: choose another.")
    log.warning("a common password was set")
