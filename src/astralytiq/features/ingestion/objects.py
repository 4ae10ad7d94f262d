"""Brings the object behind a source's s3:// path into the home, to be read like any other file.

It is fetched with the operator's own credentials. So a source reads only what SOURCE_BUCKETS lists,
and never the bucket in which the platform keeps its files: else whoever may register a source could
read whatever these credentials can.
"""

import hashlib
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
    bucket: str
    key: str


def is_object(path: str | None) -> bool:
    return bool(path and path.startswith(SCHEME))


def place_of(path: str) -> Place:
    bucket, _, key = path.removeprefix(SCHEME).partition("/")
    parts = key.split("/")
    if not bucket or not key.isprintable() or set(parts) & {"", ".", ".."} or MAGIC.search(key):
        raise Invalid(f"{path!r} names no object: write s3://bucket/key, without * ? or [.")
    return Place(bucket, key)


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
    return bucket == place.bucket and (not prefix or place.key.startswith(f"{prefix}/"))


def fetch(
    settings: Settings,
    path: str,
    into: Path,
    position: Position | None,
    calls: Calls,
    beginning: int,
) -> SourceFile | None:
    """None if nothing has changed since the last run: then `calls.unchanged` says so. Blocks."""
    place, s3 = allowed(settings, path), S3(settings)
    try:
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
    except S3Error as error:
        words = f"{path} {error.trouble}."
        raise (Transient if error.trouble in TRYING_HELPS else Invalid)(words) from None
    finally:
        s3.close()
    calls.learn(path, {"etag": tag})
    return SourceFile(path, into, digest.hexdigest())


def found(s3: S3, path: str, place: Place, most_mb: int, beginning: int) -> Head:
    head = s3.head(place.bucket, place.key)
    if head is None:
        s3.check(place.bucket)
        raise Invalid(f"There is no object {path}: correct the path, or put it there.")
    if head.size > most_mb << 20 and not beginning:
        raise Invalid(
            f"{path} has more than {most_mb:,} MB: split it, or have an admin raise "
            "DOWNLOAD_LIMIT_MB."
        )
    return head
