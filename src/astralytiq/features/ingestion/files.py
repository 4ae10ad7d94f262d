"""Which files a source's path names: only regular ones, and only below the readable roots."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePath

from astralytiq.core.errors import Forbidden, Invalid

MAGIC = re.compile(r"[*?\[]")
OUTSIDE = (
    "The path {path!r} leads outside the folders that sources may read: put the file below "
    "one of SOURCE_ROOTS (at first the home's inbox)."
)


@dataclass(frozen=True)
class SourceFile:
    """A file that may be read. `name` is what people and checkpoints call it; `digest` tells what
    was downloaded from what is there another time."""

    name: str
    path: Path
    digest: str = ""

    def open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise Invalid(f"The file {self.name!r} cannot be read: {error.strerror}.") from None


@dataclass(frozen=True)
class Folder:
    """What was brought here of several files: all below it are read."""

    path: Path


def refuse_outside(path: str, roots: Sequence[Path]) -> None:
    """What can be told before any file is there: whether the path could lie below a root."""
    if "://" in path:
        scheme = path.split("://")[0]
        raise Invalid(
            f"Paths that begin with {scheme}:// are not read: write s3://bucket/key, give a url "
            "that begins with https://, or put the file below one of SOURCE_ROOTS."
        )
    if "\x00" in path or ".." in PurePath(path).parts or path.startswith("~"):
        raise Invalid(OUTSIDE.format(path=path))
    if PurePath(path).is_absolute() and not any(below(base_of(path)[0], root) for root in roots):
        raise Invalid(OUTSIDE.format(path=path))


def find(path: str, roots: Sequence[Path]) -> list[SourceFile]:
    """The files of a path or glob in the order of their names; a missing one is `Invalid`."""
    refuse_outside(path, roots)
    places = roots if not PurePath(path).is_absolute() else [Path(PurePath(path).anchor)]
    for place in places:
        if found := sorted(matches(place, path)):
            return [readable(one, path, roots) for one in found]
    raise Invalid(
        f"There is no file {path!r} in the folders that sources may read: "
        "put it into the home's inbox, or correct the path."
    )


def matches(place: Path, path: str) -> set[Path]:
    base, pattern = base_of(path)
    start = place / base
    try:
        return {one for one in (start.glob(pattern) if pattern else [start]) if one.is_file()}
    except OSError as error:
        raise Invalid(f"The path {path!r} cannot be followed: {error.strerror}.") from None
    except ValueError:
        raise Invalid(f"The path {path!r} is no pattern: ** must stand alone between /.") from None


def base_of(path: str) -> tuple[Path, str]:
    """The part before the first wildcard, and the rest as a pattern."""
    parts = PurePath(path).parts
    plain = next((at for at, part in enumerate(parts) if MAGIC.search(part)), len(parts))
    return Path(*parts[:plain]), str(PurePath(*parts[plain:])) if plain < len(parts) else ""


def readable(found: Path, path: str, roots: Sequence[Path]) -> SourceFile:
    real = found.resolve()
    root = next((root for root in roots if real.is_relative_to(root)), None)
    if root is None or not real.is_file():
        raise Forbidden(OUTSIDE.format(path=path))
    return SourceFile(real.relative_to(root).as_posix(), real)


def below(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)
