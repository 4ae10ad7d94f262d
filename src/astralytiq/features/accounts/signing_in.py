"""Signing in, and finding out whom a credential belongs to."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Forbidden, Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor, Role, anonymous
from astralytiq.core.settings import Settings

from . import credentials, keys, sessions
from .credentials import Verified
from .models import User, UserSession
from .schemas import UserRead
from .service import actor_for, find, set_password
from .sessions import Access, Origin
from .throttle import Throttle, account_key, address_key, knows

NOWHERE = Origin()
WRONG = "The account or the password is wrong."


async def sign_in(
    resources: Resources, throttle: Throttle, account: str, password: str, origin: Origin = NOWHERE
) -> Access:
    """The same words and the same work whether the account exists or not."""
    async with resources.database.reading() as session:
        user = await find(session, account)
        known = await knows(session, user, origin.address)
    who, where = account_key(user, account), address_key(origin.address)
    async with throttle.attempt(who, where, known=known):
        stored = user.password_hash if user else None
        matches, renewed = await security.compare_password(password, stored)
        admitted = user if matches and user and user.is_active else None
        if admitted is None:
            throttle.failed(who, where)
    if admitted is None:
        await resources.database.write(lambda session: note_refusal(session, user))
        raise Unauthenticated(WRONG)
    return await resources.database.write(
        lambda s: admit(s, resources.settings, admitted, origin, renewed)
    )


async def note_refusal(session: AsyncSession, user: User | None) -> None:
    resource = f"user/{user.id}" if user else "user/unknown"
    audit.record(session, anonymous(frozenset()), "user.signed_in", resource, outcome="refused")


async def admit(
    session: AsyncSession, settings: Settings, found: User, origin: Origin, renewed: str | None
) -> Access:
    """`renewed` replaces a hash of another cost, unless the password was changed meanwhile."""
    user = await session.get_one(User, found.id, with_for_update=True)
    if user.password_hash != found.password_hash:
        raise Unauthenticated(WRONG)
    user.password_hash = renewed or user.password_hash
    user.last_login = utc_now()
    audit.record(session, actor_for(user, "password"), "user.signed_in", f"user/{user.id}")
    access = await sessions.begin(session, settings, user, origin)
    credentials.revoke(session, user.id)  # What is kept of the account shows its last sign-in.
    await session.flush()
    return access


async def change_password(
    resources: Resources,
    throttle: Throttle,
    actor: Actor,
    session_id: str,
    old: str,
    new: str,
) -> None:
    """Needs the old password, and ends all other sessions."""
    async with resources.database.reading() as session:
        user = await session.get_one(User, actor.account_id)
    # Whoever stole the session must not guess on: `session_id` stands for where they are.
    who, where = account_key(user, ""), f"session {session_id}"
    async with throttle.attempt(who, where, known=True):
        matches = await security.password_matches(old, user.password_hash)
        if not matches:
            throttle.failed(who, where)
    if not matches:
        raise Forbidden("The old password is wrong.")
    await set_password(resources, actor, user.id, new, but=session_id)


async def verify(resources: Resources, credential: str) -> Verified:
    """The actor behind an access token or an API key, as the account is now."""
    if credential.startswith(f"{keys.SCHEME}_"):
        return await keys.verify(resources, credential)
    claims = security.read_token(resources.settings.signing_keys, credential)
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
    shown = UserRead.model_validate(user)
    return Verified(actor, session_id, float(claims["exp"]), shown, user.version)


async def local_token(resources: Resources, operator: str) -> str:
    """A token for the person at this machine: whoever can read the home's key is its admin."""
    query = select(User).where(User.role == Role.admin, User.is_active).order_by(User.id)
    async with resources.database.reading() as session:
        admin = await session.scalar(query.limit(1))
    if admin is None:
        raise Unauthenticated("There is no admin yet: run 'astralytiq up' once.")
    key = resources.settings.signing_key
    return security.issue_token(key, admin.id, 60, via=f"local:{operator}")
