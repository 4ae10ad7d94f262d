"""Bytes by key, in a folder. A key is a relative path that never leaves the folder."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from astralytiq.core.errors import NotFound

SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """What was written: its key, size in bytes and SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class Storage:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        if not SAFE_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a storage key.")
        return self.root / key

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """A file that appears under `key` only when it is whole and on disk."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{uuid4().hex}.part")
        try:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    def put(self, key: str, content: bytes) -> Stored:
        with self.writing(key) as file:
            file.write(content)
        return Stored(key, len(content), hashlib.sha256(content).hexdigest())

    def get(self, key: str) -> bytes:
        with self.open(key) as file:
            return file.read()

    def open(self, key: str) -> BinaryIO:
        try:
            return self.path(key).open("rb")
        except FileNotFoundError:
            raise NotFound(f"Nothing is stored as {key!r}.") from None

    def describe(self, key: str) -> Stored:
        digest, size = hashlib.sha256(), 0
        with self.open(key) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return Stored(key, size, digest.hexdigest())

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def is_writable(self) -> bool:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            return os.access(self.root, os.W_OK)
        except OSError:
            return False
