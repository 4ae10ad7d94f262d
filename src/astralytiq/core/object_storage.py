"""Storage in a bucket of a server that speaks S3.

What is written goes to a local draft first and to the bucket as a whole, so that a fault leaves
nothing there and an attempt can be repeated; the draft then serves as the first local copy.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

from astralytiq.core.errors import AppError, StorageFull, Unavailable
from astralytiq.core.object_cache import ObjectCache
from astralytiq.core.s3 import S3, Head
from astralytiq.core.s3_faults import PASSING, S3Error, Trouble
from astralytiq.core.settings import Settings
from astralytiq.core.storage import Damaged, Storage, already, described, missing, pieces, safe

log = logging.getLogger(__name__)

CACHE = "storage-cache"
START_SECONDS = 5.0
TRIES = 2  # A copy that was damaged on this machine is fetched once more.


class ObjectStorage(Storage):
    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.storage)
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".removeprefix("/")
        self._s3 = S3(settings)
        self._cache = ObjectCache(settings.home / CACHE, settings.storage_cache_mb << 20)

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        name = self._name(key)
        with self._cache.draft() as draft:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            with self._worded(key):
                self._upload(key, draft)
            self._cache.keep(draft, name)

    def _upload(self, key: str, draft: Path) -> None:
        stored = described(key, draft)
        if found := self._s3.head(self._bucket, self._name(key)):
            if (found.size, found.sha256) != (stored.size, stored.sha256):
                raise already(key)
            return
        with draft.open("rb") as file:
            self._s3.upload(self._bucket, self._name(key), file, stored.size, stored.sha256)

    @contextmanager
    def local(self, key: str, sha256: str = "") -> Iterator[Path]:
        name = self._name(key)
        for _ in range(TRIES):
            with self._cache.held(name, lambda draft: self._fetch(key, draft)) as path:
                if not sha256 or described(key, path).sha256 == sha256:
                    yield path
                    return
                self._cache.forget(name)
        raise Damaged(key)

    def _fetch(self, key: str, draft: Path) -> None:
        with self._worded(key), draft.open("wb") as file:
            for chunk in self._s3.read(self._bucket, self._name(key), self._found(key)):
                file.write(chunk)

    def _found(self, key: str) -> Head:
        found = self._s3.head(self._bucket, self._name(key))
        if found is None:
            self._s3.check(self._bucket)
            raise missing(key)
        return found

    def is_near(self, key: str) -> bool:
        return self._cache.has(self._name(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        if self.is_near(key):
            with self.open(key) as file:
                yield from pieces(file)
            return
        with self._worded(key):
            found = self._found(key)
            yield from self._s3.read(self._bucket, self._name(key), found, at_once=1)

    def exists(self, key: str) -> bool:
        with self._worded(key):
            return self._s3.head(self._bucket, self._name(key)) is not None

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._worded(key):
            self._s3.call("delete_object", Bucket=self._bucket, Key=name)
        self._cache.forget(name)

    def fault(self) -> str:
        try:
            self._s3.check(self._bucket)
        except S3Error as error:
            return str(error.trouble)
        return ""

    def prepare(self) -> None:
        """Writes and removes an object. A server that is only away may come back by itself."""
        probe = f"{self._prefix}.probe-{uuid4().hex}"
        try:
            for operation in ("put_object", "delete_object"):
                self._s3.call(
                    operation, seconds=START_SECONDS, pauses=(), Bucket=self._bucket, Key=probe
                )
        except S3Error as error:
            words = f"The storage s3://{self._bucket} {error}."
            if error.trouble not in PASSING:
                raise AppError(words) from None
            log.warning(words)
            return
        with suppress(S3Error):  # It may be that we must not list them.
            if count := self._s3.abort_abandoned(self._bucket, self._prefix):
                log.info("removed abandoned uploads", extra={"count": count})

    def close(self) -> None:
        self._s3.close()

    def _name(self, key: str) -> str:
        return f"{self._prefix}{safe(key)}"

    @contextmanager
    def _worded(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.trouble is Trouble.no_object:  # Gone since we looked.
                raise missing(key) from None
            self._refuse(error)

    def _refuse(self, error: S3Error) -> NoReturn:
        """Users learn what is wrong and who can help; where the bucket is stands in the log."""
        log.error("the storage failed", extra={"bucket": self._bucket, "code": error.code})
        if error.trouble is Trouble.full:
            raise StorageFull("The storage has no room left: have an admin make some.") from None
        raise Unavailable(f"The storage {error.trouble}.") from None
