"""Sessions: signing in, rotating refresh tokens, and signing out.

A refresh token is used once. Its child is derived from it with the server's key, so that two
requests at the same moment, or one whose answer was lost, get the same child within the grace. A
token that comes back later than that was copied: its whole family ends (RFC 9700, section 4.14.2).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import NotFound, Unauthenticated
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from . import credentials
from .models import RefreshToken, User, UserSession

GRACE = timedelta(seconds=10)
LONGEST_NOTE = 200
ENDED = "This session has ended: sign in again."


@dataclass(frozen=True)
class Origin:
    """Where a sign-in came from, as its owner will recognise it."""

    device: str | None = None
    address: str | None = None


@dataclass(frozen=True)
class Access:
    """Fresh tokens, how many seconds the access token lives, and whose they are."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User
    session_id: str


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def child_of(settings: Settings, token: str) -> str:
    key = settings.signing_key.encode()
    mac = hmac.digest(key, b"refresh token\x00" + token.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


async def begin(session: AsyncSession, settings: Settings, user: User, origin: Origin) -> Access:
    """A new family of tokens."""
    device = (origin.device or "")[:LONGEST_NOTE] or None
    opened = UserSession(user_id=user.id, device=device, address=origin.address)
    session.add(opened)
    await session.flush()
    token = secrets.token_urlsafe(32)
    session.add(RefreshToken(session_id=opened.id, token_hash=digest(token)))
    return issue(settings, user, opened, token)


def issue(settings: Settings, user: User, opened: UserSession, refresh_token: str) -> Access:
    minutes = settings.access_token_expire_minutes
    token = security.issue_token(settings.signing_key, user.id, minutes, sid=opened.id)
    return Access(token, refresh_token, minutes * 60, user, opened.id)


async def refresh(session: AsyncSession, settings: Settings, token: str) -> Access:
    """Trade a refresh token for the next one."""
    query = select(RefreshToken).filter_by(token_hash=digest(token)).with_for_update()
    found = await session.scalar(query)
    if found is None:
        raise Unauthenticated("This refresh token is not known: sign in again.")
    opened = await session.get_one(UserSession, found.session_id, with_for_update=True)
    user = await session.get(User, opened.user_id)
    if user is None or not user.is_active or not is_open(settings, opened):
        raise Unauthenticated(ENDED)
    child = child_of(settings, token)
    if found.used_at is None:
        found.used_at = opened.last_seen_at = utc_now()
        session.add(RefreshToken(session_id=opened.id, token_hash=digest(child)))
    elif utc_now() - found.used_at > GRACE:
        await refuse_reuse(session, user, opened)
    return issue(settings, user, opened, child)


async def refuse_reuse(session: AsyncSession, user: User, opened: UserSession) -> None:
    """Owner and thief cannot be told apart: both must sign in again."""
    opened.ended_at = utc_now()
    credentials.revoke(session, user.id)
    actor = Actor(user.id, user.email, frozenset(), user.role, "refresh")
    resource = f"session/{opened.id}"
    audit.record(session, actor, "session.token_reused", resource, outcome="refused")
    raise Unauthenticated(
        "This refresh token was used before: the session was ended for safety. Sign in again.",
        keep=True,
    )


def is_open(settings: Settings, opened: UserSession) -> bool:
    now = utc_now()
    idle = now - opened.last_seen_at > timedelta(hours=settings.session_idle_hours)
    old = now - opened.created_at > timedelta(days=settings.session_days)
    return opened.ended_at is None and not idle and not old


async def of_user(session: AsyncSession, user_id: int) -> Sequence[UserSession]:
    """The sessions that have not been ended, newest first."""
    query = select(UserSession).where(
        UserSession.user_id == user_id, UserSession.ended_at.is_(None)
    )
    return (await session.scalars(query.order_by(UserSession.created_at.desc()))).all()


async def end(session: AsyncSession, actor: Actor, session_id: str) -> None:
    """End one of the actor's own sessions."""
    found = await session.get(UserSession, session_id, with_for_update=True)
    if found is None or found.user_id != actor.id or found.ended_at is not None:
        raise NotFound("There is no such session of yours.")
    found.ended_at = utc_now()
    credentials.revoke(session, found.user_id)
    audit.record(session, actor, "session.ended", f"session/{session_id}")


async def end_all(session: AsyncSession, user_id: int, *, but: str | None = None) -> None:
    """End an account's sessions; `but` names one that may go on."""
    statement = update(UserSession).where(
        UserSession.user_id == user_id, UserSession.ended_at.is_(None)
    )
    if but:
        statement = statement.where(UserSession.id != but)
    statement = statement.values(ended_at=utc_now())
    await session.execute(statement.execution_options(synchronize_session=False))
    credentials.revoke(session, user_id)
