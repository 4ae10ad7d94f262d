"""Tickets: what a browser opens a WebSocket with, because it can send no header there.

A ticket stands in an address, where logs and histories keep it: so it lives for 30 s, is used
once, and does no more than the one who asked for it could do then and can do now.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from . import one_time, sessions
from .models import ApiKey, OneTimeToken, Purpose, User, UserSession

LIFE = timedelta(seconds=30)
WRONG = (
    "This ticket is wrong, was used, or has expired: ask for a new one at "
    "POST /api/v1/auth/ws-ticket."
)


@dataclass(frozen=True)
class Admitted:
    """Who came in by a ticket. `session_id` is None for keys; a socket ends at `expires`, or when
    the account's credentials are revoked (`credentials.TOPIC`)."""

    actor: Actor
    session_id: str | None
    expires: float  # of time.time()


async def issue(session: AsyncSession, actor: Actor, session_id: str | None) -> str:
    issued = await one_time.issue(
        session,
        Purpose.ws_ticket,
        actor.account_id,
        LIFE,
        session_id=session_id,
        scopes=sorted(actor.scopes),
        via=actor.via,
        as_role=actor.role is not None,
    )
    return issued.secret


async def redeem(resources: Resources, ticket: str) -> Admitted:
    """Whoever asked for the ticket, if they could still do now what they could do then."""

    async def store(session: AsyncSession) -> Admitted:
        token = await one_time.use(session, ticket, Purpose.ws_ticket)
        if token is None:
            raise Unauthenticated(WRONG)
        return await bearer_of(session, resources.settings, token)

    return await resources.database.write(store)


async def bearer_of(session: AsyncSession, settings: Settings, token: OneTimeToken) -> Admitted:
    bound, user = token.details, await session.get(User, token.user_id)
    if user is None or not user.is_active:
        raise Unauthenticated(WRONG)
    scopes, role = frozenset(bound["scopes"]), user.role if bound["as_role"] else None
    if not scopes <= security.scopes_of(user.role):
        raise Unauthenticated(WRONG)
    actor = Actor(user.id, user.email, scopes, role, bound["via"])
    ends = await end_of(session, settings, bound["session_id"], bound["via"])
    return Admitted(actor, bound["session_id"], ends)


async def end_of(
    session: AsyncSession, settings: Settings, session_id: str | None, via: str
) -> float:
    """Until when the sign-in or the key behind a ticket can last; a refusal if it has ended."""
    way, _, number = via.partition(":")
    if way == "key":
        key = await session.get(ApiKey, int(number))
        if key is None or (key.expires_at and key.expires_at <= utc_now()):
            raise Unauthenticated(WRONG)
        return key.expires_at.timestamp() if key.expires_at else math.inf
    if session_id is None:
        return math.inf  # The person at this machine: there is no session.
    opened = await session.get(UserSession, session_id)
    if opened is None or not sessions.is_open(settings, opened):
        raise Unauthenticated(WRONG)
    return (opened.created_at + timedelta(days=settings.session_days)).timestamp()
