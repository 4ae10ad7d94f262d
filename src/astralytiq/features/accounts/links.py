"""Links by which people set a password: mailed to them, or handed over by an admin."""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs, mail, security
from astralytiq.core.errors import AppError, BadRequest, Conflict
from astralytiq.core.jobs import Transient
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Actor, Role, anonymous
from astralytiq.core.settings import Settings

from . import one_time, service, sessions
from .models import OneTimeToken, Purpose, User
from .sessions import digest

log = logging.getLogger(__name__)

SEND_RESET = "accounts.send_reset_link"
RESET_PATH = "/api/v1/auth/password/reset"
PURPOSES = (Purpose.password_reset, Purpose.invite)
LIVES = {Purpose.password_reset: timedelta(hours=1), Purpose.invite: timedelta(days=7)}
PAUSE_SECONDS = 60  # One account gets no more mails than one in so long, whoever asks.
NAME = re.compile(r"[A-Za-z0-9_.+-]{3,50}")
WRONG = (
    "This link is wrong, was used, or has expired: ask for a new one where you sign in "
    "(POST /api/v1/auth/password/forgot), or ask an admin for one."
)


@dataclass(frozen=True)
class Link:
    """`address` holds the secret: it is shown or mailed, never stored or logged."""

    address: str
    expires_at: datetime
    user: User


# Making links -----------------------------------------------------------------------------------


async def ask(session: AsyncSession, settings: Settings, account: str) -> None:
    """Somebody forgot a password: the same work whether or not the account exists.

    The job makes the secret, so that none stands in its row.
    """
    user = await service.find(session, account)
    user_id = user.id if user else None
    resource = f"user/{user_id or 'unknown'}"
    audit.record(session, anonymous(frozenset()), "user.link_asked", resource)
    window = int(time.time() // PAUSE_SECONDS)
    asked = f"{settings.signing_key}\x00{account.strip().lower()}"
    key = f"{SEND_RESET}/{window}/{digest(asked)}"
    await jobs.enqueue(session, SEND_RESET, idempotency_key=key, user_id=user_id)


async def renew(
    session: AsyncSession, settings: Settings, actor: Actor, user_id: int, purpose: Purpose
) -> Link:
    """A new link; the account's older one of this purpose is worth nothing any more."""
    user = await service.get(session, user_id)  # Its lock lets no two links be made at once.
    if not user.is_active:
        raise Conflict("This account is closed: open it before you make a link for it.")
    await one_time.end(session, purpose, user_id)
    life = LIVES[purpose]
    issued = await one_time.issue(session, purpose, user_id, life, account=state_of(user))
    audit.record(session, actor, "user.link_made", f"user/{user_id}", purpose=purpose)
    address = f"{settings.base_url}{RESET_PATH}?token={quote(issued.secret)}"
    return Link(address, issued.expires_at, user)


def state_of(user: User) -> str:
    """A link is good while this is so: a new password or address ends every link before it."""
    return digest(f"{user.email}\x00{user.password_hash}")


async def renew_asked(session: AsyncSession, settings: Settings, user_id: int) -> Link | None:
    """What the job sends; None if the account was closed meanwhile."""
    try:
        return await renew(session, settings, SYSTEM, user_id, Purpose.password_reset)
    except Conflict:
        return None


async def invite(
    resources: Resources,
    actor: Actor,
    *,
    email: str,
    username: str | None,
    role: Role,
    full_name: str | None,
) -> Link:
    """An account whose password nobody knows, and the link by which its owner sets the first."""
    hashed = await security.hash_password(secrets.token_urlsafe(one_time.BYTES))

    async def store(session: AsyncSession) -> Link:
        user = await service.create(
            session,
            actor,
            email=email,
            username=username or await free_name(session, email),
            password_hash=hashed,
            role=role,
            full_name=full_name,
        )
        return await renew(session, resources.settings, actor, user.id, Purpose.invite)

    return await resources.database.write(store)


async def free_name(session: AsyncSession, email: str) -> str:
    name = email.partition("@")[0]
    is_free = NAME.fullmatch(name) and not await service.find(session, name)
    return name if is_free else email.lower()


# Using links ------------------------------------------------------------------------------------


async def set_password(resources: Resources, secret: str, new: str) -> int:
    """Whose password it is now. One refusal for every link that is no good; a password that is
    no good leaves the link unused."""
    async with resources.database.reading() as session:
        found = await one_time.find(session, secret, *PURPOSES)
    if found is None:  # Before the slow hash, which anybody could ask for otherwise.
        raise BadRequest(WRONG)
    service.refuse_common(resources.settings, new)
    hashed = await security.hash_password(new)
    await resources.database.write(storing(secret, found.user_id, hashed))
    return found.user_id


def storing(
    secret: str, user_id: int, password_hash: str
) -> Callable[[AsyncSession], Awaitable[None]]:
    async def store(session: AsyncSession) -> None:
        # The account's lock comes first, as where links are made.
        user = await session.get_one(User, user_id, with_for_update=True)
        token = await one_time.use(session, secret, *PURPOSES)
        if not (token and fits(token, user)):
            raise BadRequest(WRONG)
        user.password_hash = password_hash
        await sessions.end_all(session, user_id)
        actor = service.actor_for(user, "link")
        audit.record(
            session, actor, "user.password_changed", f"user/{user_id}", purpose=token.purpose
        )

    return store


def fits(token: OneTimeToken, user: User) -> bool:
    return user.is_active and token.details.get("account") == state_of(user)


# Mails: no name that people gave themselves, or they would write to others in ours ---------------

RESET_SUBJECT = "A new password for AstralytiQ"
RESET_TEXT = """Hello,

somebody asked for a new password for your AstralytiQ account. Set it here:

{link}

The link works once, until {until}. If it was not you who asked, do nothing: your password stays
as it is.
"""
INVITE_SUBJECT = "Your AstralytiQ account"
INVITE_TEXT = """Hello,

an AstralytiQ account was made for you; its username is {username}. Set its password here:

{link}

The link works once, until {until}. After that, ask whoever invited you for a new one.
"""


def written(text: str, link: Link) -> str:
    until = f"{link.expires_at:%Y-%m-%d %H:%M} UTC"
    return text.format(username=link.user.username, link=link.address, until=until)


async def mail_invitation(settings: Settings, link: Link) -> bool:
    """Whether it left. If it did not, the admin still has the link to hand over."""
    if not mail.is_set_up(settings):
        return False
    try:
        await mail.send(settings, link.user.email, INVITE_SUBJECT, written(INVITE_TEXT, link))
    except (Transient, AppError) as failure:
        log.warning("an invitation was not mailed", extra={"error": str(failure)})
        return False
    return True
