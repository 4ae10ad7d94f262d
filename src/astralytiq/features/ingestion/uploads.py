"""Files that people send for a source to read: each source has a folder of its own in the inbox.

A file takes its place whole, by a rename: a run that reads the one before reads it to its end.
"""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, idempotency
from astralytiq.core.db import after_commit
from astralytiq.core.errors import Conflict, Forbidden, Invalid
from astralytiq.core.idempotency import KeptAnswer
from astralytiq.core.resources import Resources
from astralytiq.core.schemas import Answer
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from . import files, service
from .schemas import CsvSource

FOLDER = "uploads"
CHUNK = 1 << 20
LONGEST_NAME = 150


class Uploaded(Answer):
    """What was stored: where the source finds it, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


async def keep(
    resources: Resources,
    actor: Actor,
    name: str,
    file: BinaryIO,
    filename: str | None,
    key: str | None = None,
) -> Uploaded:
    """Store the file where the source reads it; copied in a thread, outside of any transaction.

    A request that comes again with its Idempotency-Key is answered as it was: meanwhile a newer
    file may have taken this one's place.
    """
    async with resources.database.reading() as session:
        spec = service.spec_of(await service.get_own(session, actor, name))
    path = path_of(spec, filename)
    target = inside(resources.settings, path)
    with beside(target) as draft:
        size, digest = await asyncio.to_thread(copied, file, draft)

        stored = Uploaded(path=path, size=size, sha256=digest)

        async def store(session: AsyncSession) -> Uploaded:
            await service.get_own(session, actor, name)  # Meanwhile it may have gone.
            if key is not None and (before := await known(session, actor, name, key, stored)):
                return before
            audit.record(
                session, actor, "source.uploaded", f"source/{name}", size=size, sha256=digest
            )
            draft.replace(target)
            return stored

        return await resources.database.write(store)


async def known(
    session: AsyncSession, actor: Actor, name: str, key: str, stored: Uploaded
) -> Uploaded | None:
    """The first answer to this key; None if this is the first, which is kept."""
    body = stored.model_dump_json().encode()
    route, who = f"PUT source/{name}/file", actor.identity
    row, answer = await idempotency.recall(session, who, route, key, body)
    if answer:
        return Uploaded.model_validate_json(answer.body)
    await idempotency.remember(session, row, KeptAnswer(200, {}, body))
    return None


def path_of(spec: service.Spec, filename: str | None) -> str:
    """The path that the source reads; of a pattern that one which the file's name makes of it."""
    folder = f"{FOLDER}/{spec.name}"
    path = (spec.path if isinstance(spec, CsvSource) else None) or ""
    wanted = PurePosixPath(path)
    if str(wanted.parent) != folder or len(wanted.name.encode()) > LONGEST_NAME:
        raise Conflict(
            f"The source {spec.name!r} does not read its uploads: set its path to "
            f"'{folder}/FILE' or '{folder}/*' (a name of at most {LONGEST_NAME} bytes)."
        )
    if not files.MAGIC.search(wanted.name):
        return path
    found = PurePosixPath(folder) / plain_name(filename)
    if not found.match(path):
        raise Invalid(f"{found.name!r} does not fit the source's path {path!r}: rename the file.")
    return str(found)


def plain_name(filename: str | None) -> str:
    """What a browser calls the file: a name, never a path to follow."""
    bare = (filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(letter for letter in bare if letter.isprintable()).strip(" .")
    if not name or files.MAGIC.search(name) or len(name.encode()) > LONGEST_NAME:
        raise Invalid(
            f"The file needs a plain name of at most {LONGEST_NAME} bytes, without * ? or [."
        )
    return name


def inside(settings: Settings, path: str) -> Path:
    """Where that is. The inbox must be readable, and no link may lead out of it."""
    inbox = (settings.home / "inbox").resolve()
    if inbox not in settings.readable_roots:
        raise Conflict("SOURCE_ROOTS does not list the home's inbox: have an admin add it.")
    folder = inbox / PurePath(path).parent
    if not files.below(folder, inbox):
        raise Forbidden(files.OUTSIDE.format(path=path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / PurePath(path).name


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A name for a draft that no pattern of a source fits; what is left there is removed."""
    drafts = target.parents[2] / f".{FOLDER}"
    drafts.mkdir(exist_ok=True)
    draft = drafts / uuid4().hex
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def copied(file: BinaryIO, draft: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    file.seek(0)
    with draft.open("wb") as copy:
        while chunk := file.read(CHUNK):
            copy.write(chunk)
            digest.update(chunk)
        copy.flush()
        os.fsync(copy.fileno())
        return copy.tell(), digest.hexdigest()


def forget(session: AsyncSession, settings: Settings, name: str) -> None:
    """Remove a source's folder once its end is stored: the next of its name must not find it."""
    folder = settings.home / "inbox" / FOLDER / name
    after_commit(session, partial(shutil.rmtree, folder, ignore_errors=True))
