"""Reads a source from its start, or from a checkpoint's position: one batch after another.

A position says where to go on after its batch. Rows read before are skipped by count, and only
while the file or page is still the one that was counted; if it has changed it is read again from
its top, since the upsert stores no record twice.
"""

import asyncio
import base64
import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetched, Fetcher, origin, parsed, shown
from astralytiq.core.settings import Settings
from astralytiq.engines.etl.csv_rows import CsvRows
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.paging import Page, Paging
from astralytiq.engines.etl.paths import records_in

from . import files
from .schemas import ApiSource, Auth, CsvSource

Position = dict[str, Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Batch:
    """Payloads as they came, where reading goes on after them, and how far that is (0 to 1)."""

    payloads: Sequence[Any]
    position: Position
    progress: float


async def batches(
    settings: Settings, source: CsvSource | ApiSource, position: Position | None
) -> AsyncIterator[Batch]:
    if isinstance(source, ApiSource):
        async for batch in api_batches(settings, source, position):
            yield batch
        return
    reader = await asyncio.to_thread(CsvReader, source, settings.readable_roots, position)
    try:
        while batch := await asyncio.to_thread(reader.next_batch):
            yield batch
    finally:
        reader.close()


# Files ------------------------------------------------------------------------------------------


class CsvReader:
    """The rows of a source's files. It reads while it is asked, so that no file is held whole."""

    def __init__(self, source: CsvSource, roots: Sequence[Path], position: Position | None) -> None:
        self._source = source
        self._files = files.find(source.path, roots)
        self._sizes = [file.path.stat().st_size for file in self._files]
        self._at = 0
        self._binary: BinaryIO | None = None
        self._rows: CsvRows | None = None
        self._seek(position or {})

    def _seek(self, position: Position) -> None:
        """Go to `position`; to the first file if the list of files has changed since."""
        at = position.get("index", 0)
        if at < len(self._files) and self._files[at].name == position.get("file"):
            self._at = at
            rows = self._open()
            if rows and self._stamp == [position["size"], position["modified"]]:
                self._reading(lambda: rows.skip(position["row"]))

    def next_batch(self) -> Batch | None:
        while self._at < len(self._files):
            rows = self._rows or self._open()
            if rows and (found := self._reading(lambda: rows.read(self._source.batch_size))):
                return Batch(found, self._position(rows.row), self._progress())
            self.close()
            self._at += 1
        return None

    def close(self) -> None:
        if self._binary:
            self._binary.close()
        self._binary = self._rows = None

    def _open(self) -> CsvRows | None:
        """Begin the current file; None if it is empty."""
        self._binary = binary = self._files[self._at].open()
        seen = os.fstat(binary.fileno())
        self._stamp = [seen.st_size, seen.st_mtime_ns]
        if seen.st_size == 0:
            return None
        text = io.TextIOWrapper(binary, encoding=self._source.encoding, newline="")
        self._rows = self._reading(lambda: CsvRows(text, self._source.delimiter))
        return self._rows

    def _reading(self, read: Callable[[], Result]) -> Result:
        name = self._files[self._at].name
        try:
            return read()
        except UnicodeError:
            encoding = self._source.encoding
            raise Invalid(
                f"The file {name!r} is not written in {encoding}: set the source's encoding, "
                "for example to cp1252."
            ) from None
        except ValueError as fault:
            raise Invalid(f"The file {name!r} cannot be read: {fault}.") from None

    def _position(self, row: int) -> Position:
        return {
            "index": self._at,
            "file": self._files[self._at].name,
            "row": row,
            "size": self._stamp[0],
            "modified": self._stamp[1],
        }

    def _progress(self) -> float:
        assert self._binary
        read = sum(self._sizes[: self._at]) + self._binary.tell()
        return min(1.0, read / max(1, sum(self._sizes)))


# Web interfaces ---------------------------------------------------------------------------------


async def api_batches(
    settings: Settings, source: ApiSource, position: Position | None
) -> AsyncIterator[Batch]:
    paging = Paging(**source.pagination.model_dump())
    page, rows, digest = paging.first(), 0, ""
    if position:
        page, rows, digest = position["page"], position["row"], position["digest"]
    ended, before = page is None, ""
    async with Fetcher(settings.allow_private_sources) as fetcher:
        headers, params = signed(settings, source)
        while not ended:
            answer = await ask(fetcher, source, paging, page, headers, params)
            found = await asyncio.to_thread(opened, source, answer, page == paging.first())
            refuse_repetition(source, found, before)
            following = next_page(source, paging, page, answer, found)
            # A page that has changed since it was counted is read from its top.
            done = rows if found.digest == digest else 0
            for batch in slices(found, page, following, done, source.batch_size):
                yield batch
            ended, page, before, digest = following is None, following, found.digest, ""


@dataclass(frozen=True)
class Opened:
    """A page's content: its document, its records, and the SHA-256 of its bytes."""

    document: Any
    records: list[Any]
    digest: str


def signed(settings: Settings, source: ApiSource) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and parameters with the secret, read where it is used and kept nowhere."""
    headers, params = dict(source.headers), dict(source.params)
    if source.auth is None:
        return headers, params
    secret = secret_of(settings, source.auth)
    match source.auth.type:
        case "bearer":
            headers["Authorization"] = f"Bearer {secret}"
        case "basic":
            pair = f"{source.auth.username}:{secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        case "header":
            headers[source.auth.name or ""] = secret
        case "query":
            params[source.auth.name or ""] = secret
    return headers, params


def secret_of(settings: Settings, auth: Auth) -> str:
    name = auth.secret.removeprefix("env:")
    refuse_unlisted(settings, auth)
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise Invalid(
            f"The environment variable {name!r} is not set where jobs run: set it there, "
            "and start the workers again."
        )
    if auth.type != "basic" and not (secret.isascii() and secret.isprintable()):
        raise Invalid(f"The value of {name!r} cannot be sent: it must be printable ASCII.")
    return secret


def refuse_unlisted(settings: Settings, auth: Auth | None) -> None:
    if auth and settings.production:
        name = auth.secret.removeprefix("env:")
        if name not in settings.source_secrets:
            raise Invalid(f"SOURCE_SECRETS does not list {name!r}: have an admin add it.")


async def ask(
    fetcher: Fetcher,
    source: ApiSource,
    paging: Paging,
    page: Page,
    headers: dict[str, str],
    params: dict[str, Any],
) -> Fetched:
    if "url" not in page:
        return await fetcher.get(
            source.url, headers=headers, params={**params, **paging.params(page)}
        )
    if origin(parsed(page["url"])) != origin(parsed(source.url)):
        raise Invalid("The next page is on another server, where the sign-in must not be sent.")
    auth = source.auth if source.auth and source.auth.type == "query" else None
    secret = {auth.name: params[auth.name]} if auth and auth.name else None
    return await fetcher.get(page["url"], headers=headers, params=secret)


def opened(source: ApiSource, answer: Fetched, first: bool) -> Opened:
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = answer.headers.get("content-type", "nothing").split(";")[0]
        raise Invalid(
            f"{shown(parsed(source.url))} did not answer valid JSON (it says {kind!r}): check the url."
        ) from None
    records = worded(source, lambda: records_in(document, source.records_path, first_page=first))
    whole = [one if isinstance(one, dict) else no_object(one) for one in records]
    return Opened(document, whole, hashlib.sha256(answer.body).hexdigest())


def no_object(record: Any) -> Broken:
    return Broken("is not an object with named fields", {"value": record})


def next_page(
    source: ApiSource, paging: Paging, page: Page, answer: Fetched, found: Opened
) -> Page | None:
    return worded(
        source,
        lambda: paging.following(
            page,
            url=answer.url,
            document=found.document,
            link=answer.headers.get("link"),
            count=len(found.records),
        ),
    )


def slices(found: Opened, page: Page, following: Page | None, done: int, size: int) -> list[Batch]:
    """The page's records from `done` on; only its last batch moves on to the following page."""
    total = len(found.records)
    made = []
    for at in range(done, total, size):
        end = min(at + size, total)
        position = {"page": following, "row": 0, "digest": ""}
        if end < total:
            position = {"page": page, "row": end, "digest": found.digest}
        made.append(Batch(found.records[at:end], position, 0.0))
    return made


def refuse_repetition(source: ApiSource, found: Opened, before: str) -> None:
    if found.records and found.digest == before:
        raise Invalid(
            f"{shown(parsed(source.url))} answers the same page again and again: "
            "check pagination.param."
        )


def worded(source: ApiSource, decide: Callable[[], Result]) -> Result:
    try:
        return decide()
    except ValueError as fault:
        raise Invalid(f"{shown(parsed(source.url))}: {fault}.") from None
