"""One-time secrets: random, stored as hashes, for one purpose, used once or not at all."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now

from .models import OneTimeToken, Purpose
from .sessions import digest

BYTES = 32  # 256 random bits: nobody guesses them, so one SHA-256 is enough to store them by
TRIMMED = 1000  # rows at once


@dataclass(frozen=True)
class Issued:
    """A secret in the one form that can be used: it is shown or sent, and then forgotten."""

    secret: str
    expires_at: datetime


async def issue(
    session: AsyncSession, purpose: Purpose, user_id: int, life: timedelta, **details: Any
) -> Issued:
    await trim(session)
    issued = Issued(secrets.token_urlsafe(BYTES), utc_now() + life)
    session.add(
        OneTimeToken(
            purpose=purpose,
            user_id=user_id,
            token_hash=digest(issued.secret),
            expires_at=issued.expires_at,
            details=details,
        )
    )
    await session.flush()
    return issued


async def find(session: AsyncSession, secret: str, *purposes: Purpose) -> OneTimeToken | None:
    """The row of a secret that can still be used for one of `purposes`."""
    return await session.scalar(select(OneTimeToken).where(good(secret, *purposes)))


async def use(session: AsyncSession, secret: str, *purposes: Purpose) -> OneTimeToken | None:
    """Use a secret up. Of two at the same moment the second waits for the row, and gets None."""
    query = select(OneTimeToken).where(good(secret, *purposes)).with_for_update()
    found = await session.scalar(query)
    if found:
        found.used_at = utc_now()
    return found


def good(secret: str, *purposes: Purpose) -> ColumnElement[bool]:
    return and_(
        OneTimeToken.token_hash == digest(secret),
        OneTimeToken.purpose.in_(purposes),
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > utc_now(),
    )


async def end(session: AsyncSession, purpose: Purpose, user_id: int) -> None:
    """What was issued before can be used no longer."""
    mine = and_(OneTimeToken.purpose == purpose, OneTimeToken.user_id == user_id)
    await session.execute(delete(OneTimeToken).where(mine))


async def trim(session: AsyncSession) -> None:
    """Forget what has expired; rows that somebody else is at are left to them."""
    expired = select(OneTimeToken.id).where(OneTimeToken.expires_at < utc_now()).limit(TRIMMED)
    ids = expired.with_for_update(skip_locked=True)
    await session.execute(delete(OneTimeToken).where(OneTimeToken.id.in_(ids)))
