"""A person's own data: all of it as a file, and its erasure."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, offers
from astralytiq.core.db import Database, utc_now
from astralytiq.core.errors import Conflict
from astralytiq.core.offers import Erasure, Rows
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor, Role

from . import credentials, service
from .models import ERASED, User

FORMAT = 1
IN_MEMORY = CHUNK = 1 << 18
UNUSABLE_HASH = "$2b$12$" + "." * 53  # no password has it
LEFT_OUT = (
    "Not in here: your password and the secrets of keys and links, of which only hashes are kept; "
    "the content of files and tables that you uploaded, which their own doors give out; and what "
    "others wrote about you in free text."
)

under_way: set[int] = set()  # accounts whose export this process is making


# Everything as a file ---------------------------------------------------------------------------


async def export(resources: Resources, actor: Actor) -> IO[bytes]:
    """A ZIP of all that the rooms hold on the actor; whoever asked closes it."""
    file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - it outlives this function
    try:
        with alone(actor.account_id):
            rows = await pack(resources.database, actor.account_id, file)
        await resources.database.write(lambda session: note_export(session, actor, rows))
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def alone(user_id: int) -> Iterator[None]:
    """Each export holds a connection: no account may have all of them."""
    if user_id in under_way:
        raise Conflict("An export of yours is being made already: wait until you have it.")
    under_way.add(user_id)
    try:
        yield
    finally:
        under_way.discard(user_id)


async def note_export(session: AsyncSession, actor: Actor, rows: int) -> None:
    audit.record(session, actor, "user.exported", f"user/{actor.id}", rows=rows)


async def pack(database: Database, user_id: int, file: IO[bytes]) -> int:
    """Read into the file and not to the caller, who may be slow: how many rows it holds."""
    counts = {}
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        async with database.reading() as session:
            for name, offer in offers.PERSONAL_DATA.items():
                rows = offer.rows_of(session, user_id)
                counts[name] = await pack_rows(archive, f"{name}.json", rows)
        manifest = describe(user_id, counts)
        archive.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
        archive.writestr("README.txt", in_words(manifest))
    return sum(counts.values())


async def pack_rows(archive: ZipFile, name: str, rows: Rows) -> int:
    """One JSON array, a row a line; compressed in a thread, piece by piece."""
    count, piece = 0, bytearray(b"[")
    with archive.open(name, "w", force_zip64=True) as member:
        async for row in rows:
            piece += b",\n" if count else b"\n"
            piece += msgspec.json.encode(row)
            count += 1
            if len(piece) >= CHUNK:
                await asyncio.to_thread(member.write, piece)
                piece = bytearray()
        await asyncio.to_thread(member.write, piece + b"\n]\n")
    return count


def describe(user_id: int, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": utc_now(),
        "account": user_id,
        "files": [
            {"name": f"{name}.json", "rows": rows, "about": offers.PERSONAL_DATA[name].about}
            for name, rows in counts.items()
        ],
        "left_out": LEFT_OUT,
    }


def in_words(manifest: dict[str, Any]) -> str:
    lines = [f"{file['name']} ({file['rows']}): {file['about']}" for file in manifest["files"]]
    head = f"All that AstralytiQ holds on the account {manifest['account']}, {manifest['made_at']}."
    return "\n".join((head, "", *lines, "", LEFT_OUT, ""))


# Erasure ----------------------------------------------------------------------------------------


async def erase(session: AsyncSession, actor: Actor, user: User) -> None:
    """What the person made stays, under a pseudonym; what identifies the person goes."""
    if user.role is Role.admin and user.is_active:
        await service.refuse_last_admin(session, user)
    erasure = Erasure(user.id, user.email, f"{ERASED}{user.id}")
    settled = await offers.erase_account(session, erasure)
    credentials.revoke(session, user.id)
    audit.record(session, actor, "user.erased", f"user/{user.id}", removed=settled)
    user.email = user.username = erasure.pseudonym
    user.full_name = user.department = user.last_login = None
    user.password_hash, user.is_active, user.role = UNUSABLE_HASH, False, Role.viewer
    await session.flush()
    audit.forget(session, user.id)
