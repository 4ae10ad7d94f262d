"""Rules for accounts: who may come in, and as whom."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import BadRequest, Forbidden, Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor, Role, anonymous

from .models import User

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
class Access:
    """A fresh access token, how many seconds it lives, and whose it is."""

    access_token: str
    expires_in: int
    user: User


@dataclass(frozen=True)
class FirstAdmin:
    email: str
    password: str


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
        raise BadRequest("This email or username is taken: sign in, or choose another.")
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
    return await resources.database.write(
        lambda session: create(
            session,
            SYSTEM,
            email=email,
            username=username,
            password_hash=hashed,
            role=Role(settings.default_role),
            full_name=full_name,
        )
    )


async def sign_in(resources: Resources, account: str, password: str) -> Access:
    """The same words and the same work whether the account exists or not."""
    async with resources.database.reading() as session:
        user = await find(session, account)
    matches = await security.password_matches(password, user.password_hash if user else None)
    if user is None or not matches or not user.is_active:
        await resources.database.write(lambda session: note_refusal(session, user))
        raise Unauthenticated(WRONG)
    return await resources.database.write(lambda session: admit(session, resources, user.id))


async def note_refusal(session: AsyncSession, user: User | None) -> None:
    resource = f"user/{user.id}" if user else "user/unknown"
    audit.record(session, anonymous(frozenset()), "user.signed_in", resource, outcome="refused")


async def admit(session: AsyncSession, resources: Resources, user_id: int) -> Access:
    user = await session.get_one(User, user_id)
    user.last_login = utc_now()
    audit.record(session, actor_for(user, "password"), "user.signed_in", f"user/{user.id}")
    await session.flush()
    return issue(resources, user)


def issue(resources: Resources, user: User) -> Access:
    settings = resources.settings
    minutes = settings.access_token_expire_minutes
    return Access(security.issue_token(settings.signing_key, user.id, minutes), minutes * 60, user)


async def actor_of_token(resources: Resources, token: str) -> Actor:
    """The account behind an access token, as it is now: a role taken away is gone at once."""
    claims = security.read_token(resources.settings.signing_key, token)
    async with resources.database.reading() as session:
        user = await session.get(User, int(claims["sub"]))
    if user is None or not user.is_active:
        raise Unauthenticated("This account is gone or closed.")
    return actor_for(user, str(claims.get("via", "bearer")))


async def any_account(resources: Resources) -> bool:
    async with resources.database.reading() as session:
        return await session.scalar(select(User.id).limit(1)) is not None


async def ensure_admin(resources: Resources) -> FirstAdmin | None:
    """An empty home gets its first admin; None when somebody is there already."""
    if await any_account(resources):
        return None
    settings = resources.settings
    first = FirstAdmin(
        settings.admin_email,
        settings.admin_password.get_secret_value() or secrets.token_urlsafe(12),
    )
    await store_account(resources, first.email, "admin", first.password, None, Role.admin)
    return first


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
