"""API keys: for devices and services, with some of their owner's scopes.

A key reads `ak_PREFIX_SECRET`. The prefix finds the row; the secret has 256 random bits, so one
SHA-256 (0.4 µs) is enough to store it by. It is shown once.
"""

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, security
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Fault, Invalid, NotFound, Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor

from . import credentials
from .models import ApiKey, User
from .sessions import digest

WRONG = "This API key is not valid, has expired, or was revoked."
SCHEME = "ak"


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


async def remove_all(session: AsyncSession, user_id: int) -> None:
    await session.execute(delete(ApiKey).where(ApiKey.user_id == user_id))
    credentials.revoke(session, user_id)


async def verify(resources: Resources, presented: str) -> tuple[Actor, datetime | None]:
    """The actor of a key, and when the key expires."""
    _, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    async with resources.database.reading() as session:
        key = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
        user = await session.get(User, key.user_id) if key else None
    matches = hmac.compare_digest(digest(secret), key.secret_hash if key else digest(""))
    if key is None or user is None or not matches or not user.is_active:
        raise Unauthenticated(WRONG)
    if key.expires_at and key.expires_at <= utc_now():
        raise Unauthenticated(WRONG)
    await resources.database.write(lambda session: note_use(session, key.id))
    # A scope that the owner lost is lost to the key too; and no key is an admin, whoever made it.
    scopes = frozenset(key.scopes) & security.scopes_of(user.role)
    return Actor(user.id, user.email, scopes, None, f"key:{key.id}"), key.expires_at


async def note_use(session: AsyncSession, key_id: int) -> None:
    if key := await session.get(ApiKey, key_id):
        key.last_used_at = utc_now()
