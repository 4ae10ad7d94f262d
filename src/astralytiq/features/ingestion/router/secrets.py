"""Doors to the secrets that sources refer to: their names go out, their values never."""

from typing import Annotated

from fastapi import Path, Request, Response

from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    describe_page,
    mark,
    refuse_stale,
    room,
)
from astralytiq.features.ingestion import secrets as kept
from astralytiq.features.ingestion.checks import SECRET_NAME
from astralytiq.features.ingestion.secrets import SecretRead, SecretValue

from .sources import SourceWriter

secrets = room("/secrets", "ingestion")

SecretName = Annotated[str, Path(pattern=f"^{SECRET_NAME.pattern}$")]


@secrets.get("")
async def list_secrets(
    request: Request, response: Response, session: Session, page: PageAsked, actor: SourceWriter
) -> list[SecretRead]:
    found, total = await kept.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@secrets.put("/{name}")
async def keep_secret(
    response: Response,
    house: House,
    session: Session,
    actor: SourceWriter,
    name: SecretName,
    body: SecretValue,
) -> SecretRead:
    """Sources refer to it as `secret:NAME`."""
    secret = await kept.put(session, house.settings, actor, name, body.value)
    mark(response, secret)
    return await kept.read(session, secret)


@secrets.delete("/{name}", status_code=204)
async def remove_secret(
    request: Request, session: Session, actor: SourceWriter, name: SecretName
) -> None:
    secret = await kept.get(session, name)
    refuse_stale(request, secret)
    await kept.remove(session, actor, secret)
