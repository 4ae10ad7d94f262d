"""Bytes by key, each written once and never changed: in a folder, or as objects of a bucket.

A key is a relative path that never leaves the storage. Everything here may block: coroutines call
it from a thread.
"""

import asyncio
import hashlib
import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from astralytiq.core.errors import AppError, Conflict, NotFound

log = logging.getLogger(__name__)

SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """What was written: its key, size in bytes and SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class Damaged(Conflict):
    """The bytes are not those that were stored."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"What is stored as {key!r} is damaged (its SHA-256 differs): restore it from a backup."
        )


class Storage(ABC):
    """What both forms can do. One that does not answer raises `Unavailable`."""

    @abstractmethod
    def writing(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file that appears under `key` only when it is whole and safe.

        Under a key that is there already, it must have the same content.
        """

    @abstractmethod
    def local(self, key: str, sha256: str = "") -> AbstractContextManager[Path]:
        """The content as a file on this machine, which stays there while the context is open.

        `NotFound` if there is none; `Damaged` if a `sha256` is given and is not the file's.
        """

    @abstractmethod
    def is_near(self, key: str) -> bool:
        """Whether `local` would have to fetch nothing."""

    @abstractmethod
    def chunks(self, key: str) -> Iterator[bytes]:
        """The content from its start, in pieces; what is not near is not kept here either."""

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def delete(self, key: str) -> None:
        """Also of a key that is not there."""

    @abstractmethod
    def fault(self) -> str:
        """What keeps us from writing, and the remedy; empty if nothing does."""

    def prepare(self) -> None:  # noqa: B027 - not every form has something to do
        """Once at the start of a server: raises what only a person can mend."""

    def close(self) -> None:  # noqa: B027
        """For good: ends what is under way and lets go of connections."""

    def is_writable(self) -> bool:
        return not self.fault()

    def put(self, key: str, content: bytes) -> Stored:
        with self.writing(key) as file:
            file.write(content)
        return Stored(key, len(content), hashlib.sha256(content).hexdigest())

    def get(self, key: str, sha256: str = "") -> bytes:
        with self.local(key, sha256) as path:
            content = path.read_bytes()
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise Damaged(key)  # It was changed since `local` looked.
        return content

    def open(self, key: str) -> BinaryIO:
        with self.local(key) as path:
            return path.open("rb")

    def describe(self, key: str) -> Stored:
        with self.local(key) as path:
            return described(key, path)


class FolderStorage(Storage):
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        return self.root / safe(key)

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{uuid4().hex}.part")
        try:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            self._keep(draft, key)
        finally:
            draft.unlink(missing_ok=True)

    def _keep(self, draft: Path, key: str) -> None:
        """Unlike a rename, a link never replaces what is there."""
        try:
            os.link(draft, self.path(key))
        except FileExistsError:
            if described(key, draft) != self.describe(key):
                raise already(key) from None

    @contextmanager
    def local(self, key: str, sha256: str = "") -> Iterator[Path]:
        path = self.path(key)
        if not path.is_file():
            raise missing(key)
        if sha256 and described(key, path).sha256 != sha256:
            raise Damaged(key)
        yield path

    def is_near(self, key: str) -> bool:
        return self.exists(key)

    def chunks(self, key: str) -> Iterator[bytes]:
        with self.open(key) as file:
            yield from pieces(file)

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def fault(self) -> str:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            can = os.access(self.root, os.W_OK)
        except OSError:
            can = False
        return "" if can else "cannot be written: check STORAGE_URL, its rights and free space"


@asynccontextmanager
async def writing_aside(storage: Storage, key: str) -> AsyncIterator[BinaryIO]:
    """`writing` for coroutines: what blocks at its beginning and end does so in a thread."""
    context = storage.writing(key)
    file = await asyncio.to_thread(context.__enter__)
    try:
        yield file
    except BaseException as fault:
        await asyncio.to_thread(context.__exit__, type(fault), fault, fault.__traceback__)
        raise
    await asyncio.to_thread(context.__exit__, None, None, None)


async def discard(storage: Storage, *keys: str) -> None:
    """Delete what nothing names. If that cannot be done now it is left, to be seen by nobody."""
    for key in keys:
        try:
            await asyncio.to_thread(storage.delete, key)
        except (AppError, OSError) as fault:
            log.warning("could not be deleted", extra={"key": key, "error": str(fault)})


def safe(key: str) -> str:
    if not SAFE_KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a storage key.")
    return key


def pieces(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def described(key: str, path: Path) -> Stored:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        for chunk in pieces(file):
            digest.update(chunk)
            size += len(chunk)
    return Stored(key, size, digest.hexdigest())


def missing(key: str) -> NotFound:
    return NotFound(f"Nothing is stored as {key!r}: restore it from a backup.")


def already(key: str) -> Conflict:
    return Conflict(f"{key!r} is stored already, with other content: stored content never changes.")
