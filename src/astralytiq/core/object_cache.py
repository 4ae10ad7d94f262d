"""Copies of objects on this machine, for engines that read files: bounded, the longest unused go.

Processes share the folder. Whoever reads a copy holds a shared lock on it, which ends with its
process; a copy that is locked is not removed, and a reader that has it open or mapped would keep
it all the same. So the folder holds at most its limit, what is in use, and a twentieth of the limit
for each process (it looks around only after it has added so much).
"""

import fcntl
import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4
from weakref import WeakValueDictionary

log = logging.getLogger(__name__)

DRAFT = ".part"
LEFT_SECONDS = 86_400.0  # What a process that was killed has left behind is then removed.
SHARE = 20


class Turn:
    """Only one thread of this process fetches a copy; the others wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class ObjectCache:
    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._added = limit  # We have not looked around yet.
        self._turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()
        self._guard = threading.Lock()

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    @contextmanager
    def held(self, name: str, fetch: Callable[[Path], None]) -> Iterator[Path]:
        """The copy of `name`, which `fetch` writes to a path if there is none."""
        file = self._opened(name) or self._fetched(name, fetch)
        with file:
            yield self._path(name)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A place for what is to become a copy."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid4().hex}{DRAFT}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, draft: Path, name: str) -> bool:
        """Whether the draft became the copy: one that is there, others read already."""
        try:
            os.link(draft, self._path(name))
        except FileExistsError:
            return False
        self._make_room(draft.stat().st_size)
        return True

    def forget(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()

    def _turn(self, name: str) -> Turn:
        with self._guard:
            turn = self._turns.get(name)
            if turn is None:
                turn = self._turns[name] = Turn()
            return turn

    def _fetched(self, name: str, fetch: Callable[[Path], None]) -> BinaryIO:
        turn = self._turn(name)
        with turn.lock, self.draft() as draft:
            while True:
                if known := self._opened(name):
                    return known
                if not draft.exists():
                    fetch(draft)
                with draft.open("rb") as file:
                    os.fsync(file.fileno())  # A power cut must not leave a copy full of zeros.
                    fcntl.flock(file, fcntl.LOCK_SH)  # Or it might be gone before we open it.
                    self.keep(draft, name)
                    if known := self._opened(name):
                        return known

    def _opened(self, name: str) -> BinaryIO | None:
        """Locked, and noted as used; None if it is not there, or is being removed."""
        path = self._path(name)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                os.utime(path)
                return file
        except FileNotFoundError:
            pass
        file.close()
        return None

    def _make_room(self, added: int) -> None:
        with self._guard:
            self._added += added
            if self._added * SHARE < self._limit:
                return
            self._added = 0
        copies = sorted(self._copies())
        excess = sum(size for _, size, _ in copies) - self._limit
        for _, size, path in copies:
            if excess <= 0:
                return
            if removed(path):
                excess -= size

    def _copies(self) -> Iterator[tuple[float, int, str]]:
        """When each was used last, its size, and where it is. Drafts that were left are removed."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    seen = entry.stat()
                    if not entry.name.endswith(DRAFT):
                        yield seen.st_mtime, seen.st_size, entry.path
                    elif seen.st_mtime < time.time() - LEFT_SECONDS:
                        os.unlink(entry.path)


def removed(path: str) -> bool:
    """Unless somebody reads it."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                os.unlink(path)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True
