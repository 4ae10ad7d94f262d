"""Secrets of sources: kept by a name, put into requests by the runs, shown to nobody.

Whoever names a secret in a source decides which server it is sent to: that is for its owner and
admins alone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, secrets
from astralytiq.core.db import Database
from astralytiq.core.errors import Conflict, Forbidden, NotFound
from astralytiq.core.schemas import Answer, Body
from astralytiq.core.secrets import Secret, missing
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from .checks import KEPT
from .models import Source
from .schemas import ApiSource, CsvSource, RssSource

REQUEST = ("url", "auth", "method", "headers", "params", "body", "pagination")
Spec = CsvSource | ApiSource | RssSource
Value = Annotated[SecretStr, Field(min_length=1, max_length=8000)]


class SecretValue(Body):
    value: Value


class SecretRead(Answer):
    """All of a secret but itself."""

    name: str
    owner_id: int | None
    created_at: datetime
    updated_at: datetime
    updated_by: Annotated[int | None, Field(description="who gave the value it has now")]
    sources: Annotated[list[str], Field(description="that refer to it")]


async def list_all(session: AsyncSession, limit: int, offset: int) -> tuple[list[SecretRead], int]:
    total = await session.scalar(select(func.count(Secret.id))) or 0
    query = select(Secret).order_by(Secret.name).limit(limit).offset(offset)
    users = await users_of(session)
    found = (await session.scalars(query)).all()
    return [shown(secret, users.get(secret.name, [])) for secret in found], total


async def read(session: AsyncSession, secret: Secret) -> SecretRead:
    return shown(secret, (await users_of(session)).get(secret.name, []))


def shown(secret: Secret, sources: list[str]) -> SecretRead:
    names = ("name", "owner_id", "created_at", "updated_at", "updated_by")
    return SecretRead(**{name: getattr(secret, name) for name in names}, sources=sources)


async def users_of(session: AsyncSession) -> dict[str, list[str]]:
    """Which sources refer to each secret. A team has tens of sources, not millions."""
    found: dict[str, list[str]] = {}
    for source in await session.scalars(select(Source).order_by(Source.name)):
        reference = (source.config.get("auth") or {}).get("secret", "")
        if reference.startswith(KEPT):
            found.setdefault(reference.removeprefix(KEPT), []).append(source.name)
    return found


async def get(session: AsyncSession, name: str) -> Secret:
    if found := await secrets.find(session, name):
        return found
    raise NotFound(f"There is no secret {name!r}.")


def refuse_foreign(actor: Actor, secret: Secret) -> None:
    if not (actor.is_admin or (actor.id is not None and secret.owner_id == actor.id)):
        raise Forbidden(
            f"The secret {secret.name!r} is somebody else's: ask its owner or an admin."
        )


async def put(
    session: AsyncSession, settings: Settings, actor: Actor, name: str, value: SecretStr
) -> Secret:
    """Keep a new secret, or give one that is kept another value."""
    secret = await secrets.find(session, name)
    if secret is None:
        secret = Secret(name=name, owner_id=actor.account_id)
        session.add(secret)
    refuse_foreign(actor, secret)
    secrets.seal(secret, settings.signing_key, value.get_secret_value())
    secret.updated_by = actor.id
    await session.flush()
    audit.record(session, actor, "secret.kept", f"secret/{name}")
    return secret


async def remove(session: AsyncSession, actor: Actor, secret: Secret) -> None:
    refuse_foreign(actor, secret)
    if used := (await users_of(session)).get(secret.name):
        raise Conflict(
            f"The secret {secret.name!r} is used by {', '.join(used)}: give them another first."
        )
    await session.delete(secret)
    audit.record(session, actor, "secret.removed", f"secret/{secret.name}")


# Sources that refer to one ------------------------------------------------------------------------


def referred(spec: Spec) -> str | None:
    """The name of the kept secret that the source refers to."""
    reference = spec.auth.secret if spec.auth else ""
    return reference.removeprefix(KEPT) if reference.startswith(KEPT) else None


async def refuse_unusable(
    session: AsyncSession, actor: Actor, spec: Spec, before: Spec | None = None
) -> None:
    """The secret is there, and what is asked with it has not changed unless `actor` may."""
    if (name := referred(spec)) is None:
        return
    if (found := await secrets.find(session, name)) is None:
        raise missing(name)
    if before is None or asked(before) != asked(spec):
        refuse_foreign(actor, found)


def asked(spec: Spec) -> list[object]:
    """What the server is asked, and which server: with a secret this is more than reading."""
    return [getattr(spec, name, None) for name in REQUEST]


async def revealed(database: Database, keys: Sequence[str], spec: Spec) -> str:
    """What the source refers to, in clear: empty for a source that refers to none."""
    if (name := referred(spec)) is None:
        return ""
    async with database.reading() as session:
        return await secrets.reveal(session, keys, name)
