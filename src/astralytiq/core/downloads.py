"""A body that goes to a file instead of into memory, whole or not at all.

What broke off is gone on with where it stopped, if the server names its version by a strong ETag
and still has that one; else it is begun again.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from astralytiq.core.addresses import shown
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Stumbled

# What is stored as it comes, packed: our readers unpack it. Of anything else they know nothing.
KEPT_PACKED = frozenset({"", "identity", "gzip", "x-gzip", "zstd"})
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Download:
    """The file at `path`. `beginning`: so many bytes are enough, the rest is left unread."""

    def __init__(
        self, path: Path, most: int, check: Callable[[], None], beginning: int = 0
    ) -> None:
        self._file = path.open("wb")
        self._most = most
        self._check = check
        self._beginning = beginning
        self._restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def digest(self) -> str:
        """The SHA-256 of what is there."""
        return self._digest.hexdigest()

    def _restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._tag = ""
        self.size = 0
        self.measured = True  # whether the server said how much there is

    def headers(self) -> dict[str, str]:
        """What to ask with. Packed on its way, a body has another length, and other ranges."""
        asked = {"accept-encoding": "identity"}
        if self.size and self._tag:
            asked |= {"range": f"bytes={self.size}-", "if-range": self._tag}
        return asked

    async def take(self, url: httpx2.URL, response: httpx2.Response) -> None:
        total = self._begin(url, response)
        if total is not None and total > self._most and not self._beginning:
            raise self._too_large(url)
        async for chunk in response.aiter_raw():
            self._check()
            # Into the system's memory, not onto a disk: quicker than to hand it to a thread.
            self._file.write(chunk)
            self._digest.update(chunk)
            self.size += len(chunk)
            if self._beginning and self.size >= self._beginning:
                break
            if self.size > self._most:
                raise self._too_large(url)
        self._file.flush()
        if total is not None and self.size != total and not self._beginning:
            raise Stumbled(f"broke off after {self.size:,} of {total:,} bytes")

    def _begin(self, url: httpx2.URL, response: httpx2.Response) -> int | None:
        """How long the whole is, as far as the server says so."""
        headers = response.headers
        if response.status_code == 206:
            return self._go_on(headers)
        self._restart()
        packed = headers.get("content-encoding", "").strip().lower()
        if packed not in KEPT_PACKED:
            raise Invalid(f"{shown(url)} sends its file as {packed!r}: gzip and zstd are read.")
        tag = headers.get("etag", "")
        self._tag = tag if tag.startswith('"') else ""  # A weak one names no bytes.
        told = headers.get("content-length", "")
        self.measured = told.isdigit() or "transfer-encoding" in headers
        return int(told) if told.isdigit() else None

    def _go_on(self, headers: httpx2.Headers) -> int | None:
        found = RANGE.fullmatch(headers.get("content-range", "").strip())
        same = headers.get("etag", self._tag) == self._tag
        if not (found and same and self._tag and int(found[1]) == self.size):
            self._restart()
            raise Stumbled("answered with another part of the file than was asked for")
        return int(found[2]) if found[2] != "*" else None

    def refuse_range(self, response: httpx2.Response) -> None:
        """There is nothing behind what we have: the file is another by now."""
        if response.status_code == 416 and self.size:
            self._restart()
            raise Stumbled("has no such part of the file any more", status=416)

    def _too_large(self, url: httpx2.URL) -> Invalid:
        return Invalid(
            f"{shown(url)} has more than {self._most >> 20:,} MB: split the file, or have an admin "
            "raise DOWNLOAD_LIMIT_MB."
        )
