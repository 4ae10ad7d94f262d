"""API keys: for devices and services, with some of their owner's scopes.

A key reads `ak_PREFIX_SECRET`. The prefix finds the row; the secret has 256 random bits, so one
SHA-256 (0.4 µs) is enough to store it by. It is shown once.
"""

import hmac
import secrets
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Fault, Invalid, NotFound, Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor

from . import credentials
from .credentials import Verified
from .models import ApiKey, User
from .schemas import UserRead
from .sessions import digest

WRONG = "This API key is not valid, has expired, or was revoked."
SCHEME = "ak"
KEY_SECONDS = 60.0  # How long a key is taken without asking the database.
ON_RECORD = timedelta(hours=1)


async def list_own(session: AsyncSession, actor: Actor) -> Sequence[ApiKey]:
    query = select(ApiKey).where(ApiKey.user_id == actor.account_id).order_by(ApiKey.id)
    return (await session.scalars(query)).all()


async def create(
    session: AsyncSession,
    actor: Actor,
    *,
    name: str,
    scopes: list[str],
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """The new key and its secret form, which nobody can show again."""
    refuse_scopes(actor, scopes)
    if expires_at and expires_at <= utc_now():
        raise Invalid("expires_at lies in the past: leave it out, or name a later time.")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(
        user_id=actor.account_id,
        name=name,
        prefix=prefix,
        secret_hash=digest(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    session.add(key)
    await session.flush()
    audit.record(session, actor, "key.created", f"key/{key.id}", scopes=key.scopes)
    return key, f"{SCHEME}_{prefix}_{secret}"


def refuse_scopes(actor: Actor, scopes: list[str]) -> None:
    """A key can never do more than the one who makes it."""
    missing = sorted(set(scopes) - actor.scopes)
    if missing:
        faults = tuple(Fault(("body", "scopes"), f"you do not have {name!r}") for name in missing)
        known = ", ".join(sorted(actor.scopes))
        raise Invalid(f"You cannot give {', '.join(missing)}; you have {known}.", faults=faults)


async def remove(session: AsyncSession, actor: Actor, key_id: int) -> None:
    key = await session.get(ApiKey, key_id)
    if key is None or not (key.user_id == actor.id or actor.is_admin):
        raise NotFound(f"There is no API key {key_id}.")
    await session.delete(key)
    credentials.revoke(session, key.user_id)
    audit.record(session, actor, "key.removed", f"key/{key_id}")


async def verify(resources: Resources, presented: str) -> Verified:
    """Whose key it is. Its use is noted at most once in KEY_SECONDS, and on record hourly."""
    _, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    async with resources.database.reading() as session:
        key = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
        user = await session.get(User, key.user_id) if key else None
    matches = hmac.compare_digest(digest(secret), key.secret_hash if key else digest(""))
    if key is None or user is None:
        raise Unauthenticated(WRONG)
    actor = actor_of(key, user)
    if not (matches and user.is_active and not is_over(key)):
        if resources.limits.first("key refused", str(key.id)):
            await resources.database.write(lambda session: note_refusal(session, key))
        raise Unauthenticated(WRONG)
    await resources.database.write(lambda session: note_use(session, actor, key.id))
    until = time.time() + KEY_SECONDS
    until = min(until, key.expires_at.timestamp()) if key.expires_at else until
    return Verified(actor, None, until, UserRead.model_validate(user), user.version)


def actor_of(key: ApiKey, user: User) -> Actor:
    # A scope that the owner lost is lost to the key too; and no key is an admin, whoever made it.
    scopes = frozenset(key.scopes) & security.scopes_of(user.role)
    return Actor(user.id, user.email, scopes, None, f"key:{key.id}")


def is_over(key: ApiKey) -> bool:
    return key.expires_at is not None and key.expires_at <= utc_now()


async def note_refusal(session: AsyncSession, key: ApiKey) -> None:
    """A wrong secret, an expired key, or a closed account."""
    nobody = security.anonymous(frozenset())
    audit.record(session, nobody, "key.used", f"key/{key.id}", outcome="refused")


async def note_use(session: AsyncSession, actor: Actor, key_id: int) -> None:
    key = await session.get(ApiKey, key_id)
    if key is None:
        return
    if key.last_used_at is None or utc_now() - key.last_used_at > ON_RECORD:
        audit.record(session, actor, "key.used", f"key/{key_id}")
    key.last_used_at = utc_now()
