"""Brings the object behind a source's s3:// path into the home, to be read like any other file.

It is fetched with the operator's own credentials. So a source reads only what SOURCE_BUCKETS lists,
and never the bucket in which the platform keeps its files: else whoever may register a source could
read whatever these credentials can.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Transient
from astralytiq.core.s3 import S3, Head
from astralytiq.core.s3_faults import PASSING, S3Error, Trouble
from astralytiq.core.settings import Settings

from .batches import Position
from .calls import Calls
from .files import MAGIC, SourceFile

SCHEME = "s3://"
TRYING_HELPS = PASSING | {Trouble.changed}


@dataclass(frozen=True)
class Place:
    """`key` may be a pattern."""

    bucket: str
    key: str

    @property
    def is_pattern(self) -> bool:
        return bool(MAGIC.search(self.key))

    @property
    def above(self) -> str:
        """The folder that it surely is in, with its slash; of a pattern the part before any."""
        begun = MAGIC.search(self.key)
        return self.key[: self.key.rfind("/", 0, begun.start() if begun else None) + 1]


def is_object(path: str | None) -> bool:
    return bool(path and path.startswith(SCHEME))


def place_of(path: str) -> Place:
    bucket, _, key = path.removeprefix(SCHEME).partition("/")
    apart = all(part == "**" for part in key.split("/") if "**" in part)
    if not bucket or MAGIC.search(bucket) or not plain_key(key) or not apart or key.endswith("**"):
        raise Invalid(
            f"{path!r} names no object: write s3://bucket/key, in which * ? and [ may stand for "
            "parts of a name, and ** between / for any folders."
        )
    return Place(bucket, key)


def plain_key(key: str) -> bool:
    return key.isprintable() and not set(key.split("/")) & {"", ".", ".."}


def allowed(settings: Settings, path: str) -> Place:
    place = place_of(path)
    if place.bucket != settings.storage_bucket and any(
        covers(listed, place) for listed in settings.source_buckets
    ):
        return place
    raise Invalid(
        f"{path!r} is in no bucket that sources may read: have an admin list it in SOURCE_BUCKETS, "
        "as bucket or bucket/prefix."
    )


def covers(listed: str, place: Place) -> bool:
    bucket, _, prefix = listed.removeprefix(SCHEME).strip("/").partition("/")
    return bucket == place.bucket and (not prefix or place.above.startswith(f"{prefix}/"))


@contextmanager
def connected(settings: Settings, path: str) -> Iterator[S3]:
    s3 = S3(settings)
    try:
        yield s3
    except S3Error as error:
        words = f"{path} {error.trouble}."
        raise (Transient if error.trouble in TRYING_HELPS else Invalid)(words) from None
    finally:
        s3.close()


def fetch(
    settings: Settings,
    path: str,
    into: Path,
    position: Position | None,
    calls: Calls,
    beginning: int,
) -> SourceFile | None:
    """None if nothing has changed since the last run: then `calls.unchanged` says so. Blocks."""
    place = allowed(settings, path)
    with connected(settings, path) as s3:
        head = found(s3, path, place, settings.download_limit_mb, beginning)
        tag = f"{head.etag} {head.size}"
        if not position and calls.conditions(path).get("If-None-Match") == tag:
            calls.unchanged = True
            return None
        digest = hashlib.sha256()
        with into.open("wb") as file:
            for piece in s3.read(place.bucket, place.key, head, most=beginning or None):
                calls.check()
                digest.update(piece)
                file.write(piece)
    calls.learn(path, {"etag": tag})
    return SourceFile(path, into, digest.hexdigest())


def found(s3: S3, path: str, place: Place, most_mb: int, beginning: int) -> Head:
    head = s3.head(place.bucket, place.key)
    if head is None:
        s3.check(place.bucket)
        raise Invalid(f"There is no object {path}: correct the path, or put it there.")
    if head.size > most_mb << 20 and not beginning:
        raise too_large(path, most_mb)
    return head


def too_large(path: str, most_mb: int) -> Invalid:
    return Invalid(
        f"{path} has more than {most_mb:,} MB: split it, or have an admin raise DOWNLOAD_LIMIT_MB."
    )
