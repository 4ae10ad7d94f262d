"""Doors to one's own data: take all of it along, or have it erased."""

from collections.abc import Generator
from typing import IO, Any

from fastapi import Request, Response

from astralytiq.core.streams import HeldStream
from astralytiq.core.web import House, Session, refuse_stale, room
from astralytiq.features.accounts import cookies, service
from astralytiq.features.accounts import personal as own
from astralytiq.features.accounts.deps import Person

personal = room("/users", "accounts")

CHUNK = 1 << 16
ZIP: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "one JSON file a kind of thing; manifest.json says what each of them is",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ZipAnswer(HeldStream):
    media_type = "application/zip"


@personal.get("/me/export", response_class=ZipAnswer, responses=ZIP)
async def export_me(house: House, actor: Person) -> ZipAnswer:
    """Everything that is held on the caller."""
    file = await own.export(house, actor)
    headers = {
        "Content-Disposition": f'attachment; filename="astralytiq-{actor.id}.zip"',
        "Content-Length": str(file.seek(0, 2)),
        "Cache-Control": "no-store",
    }
    return ZipAnswer(file, chunks(file), headers=headers)


def chunks(file: IO[bytes]) -> Generator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk


@personal.delete("/me", status_code=204)
async def erase_me(request: Request, response: Response, session: Session, actor: Person) -> None:
    """For good: what the caller made stays, under a pseudonym."""
    user = await service.get(session, actor.account_id)
    refuse_stale(request, user)
    await own.erase(session, actor, user)
    cookies.take_away(response)
