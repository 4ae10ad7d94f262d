"""Brings the objects that a pattern fits into a folder of the home, to be read like any folder."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from astralytiq.core.errors import Invalid
from astralytiq.core.s3 import S3, Head
from astralytiq.core.settings import Settings

from .batches import Position
from .calls import Calls
from .files import MAGIC, Folder
from .objects import Place, allowed, connected, plain_key, too_large

MOST_OBJECTS = 10_000
LONGEST_NAME = 200  # bytes of a part of a key: they become names of files


@dataclass(frozen=True)
class Listed:
    key: str
    head: Head


def fetch(
    settings: Settings,
    path: str,
    into: Path,
    position: Position | None,
    calls: Calls,
    beginning: int,
) -> Folder | None:
    """None if nothing has changed since the last run: then `calls.unchanged` says so. Blocks."""
    place = allowed(settings, path)
    with connected(settings, path) as s3:
        found = listed(s3, path, place, settings.download_limit_mb, beginning)
        versions = [f"{one.key}\0{one.head.etag}\0{one.head.size}\n" for one in found]
        tag = hashlib.sha256("".join(versions).encode()).hexdigest()
        if not position and calls.conditions(path).get("If-None-Match") == tag:
            calls.unchanged = True
            return None
        into.mkdir()
        for one in found:
            keep(s3, place.bucket, one, into / one.key, calls, beginning)
    calls.learn(path, {"etag": tag})
    return Folder(into.resolve())


def listed(s3: S3, path: str, place: Place, most_mb: int, beginning: int) -> list[Listed]:
    """In the order of their names; for a preview the first alone."""
    pattern, found = place.key.split("/"), []
    for one in everything(s3, place):
        if not fits(one["Key"], pattern):
            continue
        refuse_key(path, one["Key"])
        found.append(Listed(one["Key"], Head(one["Size"], one.get("ETag", ""), "")))
        if len(found) > MOST_OBJECTS:
            raise Invalid(f"{path} fits more than {MOST_OBJECTS:,} objects: narrow it down.")
    if not found:
        s3.check(place.bucket)
        raise Invalid(f"There is no object that fits {path}: correct the path, or put one there.")
    found.sort(key=lambda one: one.key)
    if beginning:
        return found[:1]
    if sum(one.head.size for one in found) > most_mb << 20:
        raise too_large(path, most_mb)
    return found


def everything(s3: S3, place: Place) -> Iterator[dict[str, Any]]:
    """All below the part of the key that has no pattern yet; folders are empty objects there."""
    begun = MAGIC.search(place.key)
    asked: dict[str, Any] = {"Bucket": place.bucket}
    asked["Prefix"] = place.key[: begun.start() if begun else None]
    while True:
        answer = s3.call("list_objects_v2", **asked)
        yield from (one for one in answer.get("Contents", []) if not one["Key"].endswith("/"))
        if not answer.get("IsTruncated"):
            return
        asked["ContinuationToken"] = answer["NextContinuationToken"]


def fits(key: str, pattern: Sequence[str]) -> bool:
    """`*` stays within a folder, as it does on a disk; `**` is any folders, or none."""
    reached = beyond({0}, pattern)
    for part in key.split("/"):
        stay = {at for at in reached if pattern[at : at + 1] == ["**"]}
        named = {
            at + 1 for at in reached - stay if fnmatchcase(part, "".join(pattern[at : at + 1]))
        }
        reached = beyond(stay | named, pattern)
    return len(pattern) in reached


def beyond(reached: set[int], pattern: Sequence[str]) -> set[int]:
    """Also where one gets to without a name."""
    found = set(reached)
    for at, part in enumerate(pattern):
        if part == "**" and at in found:
            found.add(at + 1)
    return found


def refuse_key(path: str, key: str) -> None:
    """A key is a path to nowhere but below our folder."""
    if not plain_key(key) or any(len(part.encode()) > LONGEST_NAME for part in key.split("/")):
        raise Invalid(
            f"{path} fits an object whose key {key[:100]!r} cannot be a file's name: rename it, or "
            "narrow the path down."
        )


def keep(s3: S3, bucket: str, one: Listed, file: Path, calls: Calls, beginning: int) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Invalid(f"{one.key!r} lies below an object: rename one of them.") from None
    with file.open("wb") as opened:
        for piece in s3.read(bucket, one.key, one.head, most=beginning or None):
            calls.check()
            opened.write(piece)
    # The reader knows a file by its size and time: so each version has a time of its own.
    moment = int(hashlib.sha256(one.head.etag.encode()).hexdigest()[:13], 16)
    os.utime(file, ns=(moment, moment))
