"""Signing in, and finding out whom a credential belongs to."""

import time

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role, anonymous
from astralytiq.core.settings import Settings

from . import keys, sessions
from .credentials import Verified
from .models import User, UserSession
from .service import actor_for, find
from .sessions import Access, Origin

NOWHERE = Origin()
KEY_SECONDS = 60.0  # How long a key is taken without asking the database or noting its use.
WRONG = "The account or the password is wrong."


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


async def local_token(resources: Resources, operator: str) -> str:
    """A token for the person at this machine: whoever can read the home's key is its admin."""
    query = select(User).where(User.role == Role.admin, User.is_active).order_by(User.id)
    async with resources.database.reading() as session:
        admin = await session.scalar(query.limit(1))
    if admin is None:
        raise Unauthenticated("There is no admin yet: run 'astralytiq up' once.")
    key = resources.settings.signing_key
    return security.issue_token(key, admin.id, 60, via=f"local:{operator}")
