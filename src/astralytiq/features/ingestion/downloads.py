"""Brings a source's file from its server or bucket into the home, to be read like any other.

Reading files is quick because it needs no waiting, and resumes by rows: a stream could do neither.
The file is named by its content, so that a run goes on in it only if the server still has the same.
"""

import asyncio
import errno
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from astralytiq.core.addresses import parsed, shown
from astralytiq.core.db import new_id
from astralytiq.core.downloads import Download
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched, Request
from astralytiq.core.jobs import Transient
from astralytiq.core.settings import Settings

from . import object_globs, objects
from .batches import Position
from .calls import Calls
from .files import Folder, SourceFile
from .read_api import fetcher_of, signed
from .schemas import CsvSource

FOLDER = "downloads"
LEFT_SECONDS = 86_400.0  # What a process that was killed has left behind is then removed.
BEGINNING = 4 << 20  # of a file, for a preview
WEB_PAGES = frozenset({"text/html", "application/xhtml+xml"})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@asynccontextmanager
async def downloaded(
    settings: Settings,
    source: CsvSource,
    position: Position | None,
    calls: Calls,
    beginning: int = 0,
) -> AsyncIterator[SourceFile | Folder | None]:
    """What is behind the source's address, while it is needed; None for what is in a folder here.

    Also None if it has not changed since the last run: then `calls.unchanged` says so.
    """
    if source.url is None and not objects.is_object(source.path):
        yield None
        return
    folder = settings.home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    remove_left(folder)
    path = folder / new_id()
    try:
        yield await brought(settings, source, path, position, calls, beginning)
    finally:
        remove(path)


async def brought(
    settings: Settings,
    source: CsvSource,
    path: Path,
    position: Position | None,
    calls: Calls,
    beginning: int,
) -> SourceFile | Folder | None:
    try:
        if source.url is not None:
            return await fetch(settings, source, source.url, path, position, calls, beginning)
        wanted = source.path or ""
        fetch_from = object_globs if objects.place_of(wanted).is_pattern else objects
        return await asyncio.to_thread(
            fetch_from.fetch, settings, wanted, path, position, calls, beginning
        )
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = shown(parsed(source.url)) if source.url else source.path
        raise Transient(
            f"The disk is full: there is no room in the home's {FOLDER} folder for {where}. Free "
            "some space; nothing of it was kept."
        ) from None


async def fetch(
    settings: Settings,
    source: CsvSource,
    url: str,
    path: Path,
    position: Position | None,
    calls: Calls,
    beginning: int,
) -> SourceFile | None:
    headers, params = signed(settings, source, calls.secret)
    headers = {"accept": "text/csv, */*"} | {name.lower(): one for name, one in headers.items()}
    headers |= {} if position else calls.conditions(url)
    most = settings.download_limit_mb << 20
    with Download(path, most, calls.check, beginning) as into:
        async with fetcher_of(settings, source, calls) as fetcher:
            answer = await fetcher.fetch(url, Request(headers=headers), params, into)
    if answer.status == 304:
        calls.unchanged = True
        return None
    name = shown(parsed(url))
    refuse_web_page(name, path, answer)
    calls.learn(url, answer.headers)
    if not into.measured:
        words = f"{name} did not say how long its file is: one that was cut off looks the same."
        calls.note("unmeasured", words, {"bytes": into.size})
    return SourceFile(name, path, into.digest)


def refuse_web_page(name: str, path: Path, answer: Fetched) -> None:
    """A sign-in page or a notice in the file's place would be read as a table without rows."""
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in WEB_PAGES:
        return
    with path.open("rb") as file:
        begins = file.read(1000).lstrip(b"\xef\xbb\xbf \t\r\n")
    if begins.startswith(b"<"):
        raise Invalid(f"{name} answered a web page in place of a file: check the url and auth.")


def remove_left(folder: Path) -> None:
    for one in folder.iterdir():
        with suppress(FileNotFoundError):  # Whoever it was of has just done with it.
            if one.stat().st_mtime < time.time() - LEFT_SECONDS:
                remove(one)


def remove(path: Path) -> None:
    """A file, or a folder of what a pattern fitted."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
