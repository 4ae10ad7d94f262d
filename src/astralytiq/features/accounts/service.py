"""Rules for accounts: who may come in, and as whom."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthenticated,
)
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor, Role, anonymous
from astralytiq.core.settings import Settings, kept_value

from . import keys, sessions
from .credentials import Verified
from .models import User, UserSession
from .sessions import Access, Origin

log = logging.getLogger(__name__)

NOWHERE = Origin()
TAKEN = "This email or username is taken: sign in, or choose another."
KEY_SECONDS = 60.0  # How long a key is taken without asking the database or noting its use.
FIRST_PASSWORD = "first_password"
PASSWORD_SIZE = 12  # bytes: 96 random bits, and 16 characters that a person can type
WRONG = "The account or the password is wrong."
DEMO_ACCOUNTS = (
    ("admin@astralytiq.com", "admin", "admin123", "Demo Admin", Role.admin),
    ("analyst@astralytiq.com", "analyst", "analyst123", "Demo Analyst", Role.analyst),
    (
        "data.scientist@astralytiq.com",
        "data.scientist",
        "ds123",
        "Demo Data Scientist",
        Role.data_scientist,
    ),
)


@dataclass(frozen=True)
class FirstAdmin:
    """`password` is None when it was configured: then its owner knows it, and it is not printed."""

    email: str
    password: str | None


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


# Signing in -------------------------------------------------------------------------------------


async def sign_in(
    resources: Resources, account: str, password: str, origin: Origin = NOWHERE
) -> Access:
    """The same words and the same work whether the account exists or not."""
    async with resources.database.reading() as session:
        user = await find(session, account)
    matches = await security.password_matches(password, user.password_hash if user else None)
    if user is None or not matches or not user.is_active:
        await resources.database.write(lambda session: note_refusal(session, user))
        raise Unauthenticated(WRONG)
    return await resources.database.write(lambda s: admit(s, resources.settings, user.id, origin))


async def note_refusal(session: AsyncSession, user: User | None) -> None:
    resource = f"user/{user.id}" if user else "user/unknown"
    audit.record(session, anonymous(frozenset()), "user.signed_in", resource, outcome="refused")


async def admit(session: AsyncSession, settings: Settings, user_id: int, origin: Origin) -> Access:
    user = await session.get_one(User, user_id, with_for_update=True)
    user.last_login = utc_now()
    audit.record(session, actor_for(user, "password"), "user.signed_in", f"user/{user.id}")
    access = await sessions.begin(session, settings, user, origin)
    await session.flush()
    return access


async def verify(resources: Resources, credential: str) -> Verified:
    """The actor behind an access token or an API key, as the account is now."""
    if credential.startswith(f"{keys.SCHEME}_"):
        actor, ends = await keys.verify(resources, credential)
        until = time.time() + KEY_SECONDS
        return Verified(actor, None, min(until, ends.timestamp()) if ends else until)
    claims = security.read_token(resources.settings.signing_key, credential)
    session_id = claims.get("sid")
    async with resources.database.reading() as session:
        user = await session.get(User, int(claims["sub"]))
        opened = await session.get(UserSession, session_id) if session_id else None
    if user is None or not user.is_active:
        raise Unauthenticated("This account is gone or closed.")
    if opened is None and "via" not in claims:
        raise Unauthenticated(sessions.ENDED)
    if opened and not sessions.is_open(resources.settings, opened):
        raise Unauthenticated(sessions.ENDED)
    actor = actor_for(user, str(claims.get("via", "bearer")))
    return Verified(actor, session_id, float(claims["exp"]))


async def sign_out(session: AsyncSession, actor: Actor, session_id: str) -> None:
    await sessions.end(session, actor, session_id)


# Changing accounts ------------------------------------------------------------------------------


async def get(session: AsyncSession, user_id: int) -> User:
    if found := await session.get(User, user_id, with_for_update=True):
        return found
    raise NotFound(f"There is no account {user_id}.")


async def change_self(session: AsyncSession, actor: Actor, fields: dict[str, Any]) -> User:
    user = await get(session, actor.account_id)
    await apply(session, actor, user, fields)
    return user


async def change(session: AsyncSession, actor: Actor, user: User, fields: dict[str, Any]) -> User:
    """What admins change. A new role or a closed account ends every session at once."""
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
    await session.flush()


async def refuse_last_admin(session: AsyncSession, user: User) -> None:
    others = select(func.count(User.id)).where(
        User.role == Role.admin, User.is_active, User.id != user.id
    )
    if not await session.scalar(others):
        raise Conflict("This is the last admin: make another account an admin first.")


async def remove(session: AsyncSession, actor: Actor, user: User) -> None:
    """Erase an account. What it made stays, under a pseudonym; what identifies it goes."""
    if user.role is Role.admin and user.is_active:
        await refuse_last_admin(session, user)
    await sessions.end_all(session, user.id)
    await keys.remove_all(session, user.id)
    audit.record(session, actor, "user.erased", f"user/{user.id}")
    user.email = user.username = f"erased-{user.id}"
    user.full_name = user.department = None
    user.password_hash, user.is_active, user.role = "", False, Role.viewer
    await session.flush()
    audit.forget(session, user.id)


async def change_password(
    resources: Resources, actor: Actor, session_id: str | None, old: str, new: str
) -> None:
    """Needs the old password, and ends all other sessions."""
    async with resources.database.reading() as session:
        user = await session.get_one(User, actor.account_id)
    if not await security.password_matches(old, user.password_hash):
        raise Forbidden("The old password is wrong.")
    await set_password(resources, actor, user.id, new, but=session_id)


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


# First accounts ---------------------------------------------------------------------------------


async def any_account(resources: Resources) -> bool:
    async with resources.database.reading() as session:
        return await session.scalar(select(User.id).limit(1)) is not None


async def ensure_admin(resources: Resources) -> FirstAdmin | None:
    """An empty home gets its first admin; None when somebody is there already."""
    settings = resources.settings
    note = settings.home / FIRST_PASSWORD
    given = settings.admin_password.get_secret_value()
    if not await any_account(resources):
        # In the file first: a process that is killed before it has told anybody must not lose it.
        password = given or await asyncio.to_thread(kept_value, note, PASSWORD_SIZE)
        await store_account(resources, settings.admin_email, "admin", password, None, Role.admin)
        return FirstAdmin(settings.admin_email, None if given else password)
    return FirstAdmin(settings.admin_email, note.read_text()) if note.exists() else None


def untold(settings: Settings) -> bool:
    return (settings.home / FIRST_PASSWORD).exists()


def forget_first_password(settings: Settings) -> None:
    """It was told: it stands nowhere any more."""
    (settings.home / FIRST_PASSWORD).unlink(missing_ok=True)


async def ensure_demo_accounts(resources: Resources) -> None:
    if resources.settings.production:
        raise Forbidden("The demo accounts have public passwords: they never exist in production.")
    for account in DEMO_ACCOUNTS:
        async with resources.database.reading() as session:
            known = await find(session, account[0])
        if known is None:
            await store_account(resources, *account)


async def store_account(
    resources: Resources,
    email: str,
    username: str,
    password: str,
    full_name: str | None,
    role: Role,
) -> None:
    hashed = await security.hash_password(password)
    async with resources.database.reading() as session:
        if await find(session, username):  # An older home's admin has the name already.
            username = email
    await resources.database.write(
        lambda session: create(
            session, SYSTEM,
            email=email, username=username, password_hash=hashed, role=role, full_name=full_name,
        )
    )  # fmt: skip


async def local_token(resources: Resources, operator: str) -> str:
    """A token for the person at this machine: whoever can read the home's key is its admin."""
    query = select(User).where(User.role == Role.admin, User.is_active).order_by(User.id)
    async with resources.database.reading() as session:
        admin = await session.scalar(query.limit(1))
    if admin is None:
        raise Unauthenticated("There is no admin yet: run 'astralytiq up' once.")
    key = resources.settings.signing_key
    return security.issue_token(key, admin.id, 60, via=f"local:{operator}")


async def demo_accounts_with_known_passwords(resources: Resources) -> list[str]:
    """The demo accounts that anybody who reads the README can use."""
    found = []
    for email, _, password, _, _ in DEMO_ACCOUNTS:
        async with resources.database.reading() as session:
            user = await find(session, email)
        stored = user.password_hash if user and user.is_active else None
        if stored and await security.password_matches(password, stored):
            found.append(email)
    return found
