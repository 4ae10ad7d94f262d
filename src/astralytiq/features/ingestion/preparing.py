"""All of a batch's work that needs no database, so that it can be done beside the one before it.

Pure, and light to import: a process of its own does it for long runs (aside.py).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from astralytiq.core.rows import Form, lines, tuples
from astralytiq.engines.etl import drift, packing, profiles
from astralytiq.engines.etl.batch import NAMES, Rejected, columns_of, last_of_each
from astralytiq.engines.etl.drift import Seen
from astralytiq.engines.etl.normalise import Normaliser
from astralytiq.engines.etl.profiles import Profile
from astralytiq.engines.etl.values import from_csv


class Way(msgspec.Struct, frozen=True):
    """How payloads of a source become rows of a database.

    `cells`: they are of a CSV file, where all is text. `every`: drift is looked for in each.
    """

    source: str
    mapping: dict[str, str]
    primary_key: list[str]
    cells: bool
    let_in: list[str] | None
    every: bool
    for_sqlite: bool
    forms: dict[str, Form]

    def normaliser(self) -> Normaliser:
        let_in = None if self.let_in is None else frozenset(self.let_in)
        convert = from_csv if self.cells else None
        return Normaliser(self.source, self.mapping, self.primary_key, convert, let_in)


class Prepared(msgspec.Struct, frozen=True):
    """A batch with all that could be computed before its transaction.

    Its records' rows are `tuples` or `lines` of the columns in `names`, as the database takes them;
    a `lean` batch, which is thought to be stored already, has none.
    """

    size: int
    raw: bytes
    ids: list[str]
    hashes: list[str]
    names: tuple[str, ...]
    tuples: list[tuple[Any, ...]]
    lines: list[str]
    rejects: list[Rejected]
    seen: Seen
    profile: Profile
    lean: bool


class Question(msgspec.Struct, frozen=True):
    """What is to be prepared: `size` payloads, of each slice its JSON."""

    size: int
    texts: list[bytes]
    lean: bool


# The slices of the payloads, which may still have to be read, and what is asked of them.
Prepare = Callable[[Iterable[Sequence[Any]], Question], Prepared]


def preparer(way: Way) -> Prepare:
    normaliser = way.normaliser()
    rows_of = tuples if way.for_sqlite else lines

    def prepare(parts: Iterable[Sequence[Any]], asked: Question) -> Prepared:
        """All of a slice's work while it is in the processor's cache."""
        ids, hashes, rows = list[str](), list[str](), list[Any]()
        rejects: list[Rejected] = []
        picked, start = Picked(asked.size, every=way.every), 0
        for part in parts:
            columns = columns_of(normaliser, part, start, rejects)
            ids += columns["source_id"]
            hashes += columns["content_hash"]
            rows += [] if asked.lean else rows_of(columns, way.forms)
            picked.look(part, start)
            start += len(part)
        kept = last_of_each(ids)
        if len(kept) < len(ids):
            ids, hashes = [ids[at] for at in kept], [hashes[at] for at in kept]
            rows = [] if asked.lean else [rows[at] for at in kept]
        return Prepared(
            size=asked.size,
            raw=packing.closed(packing.joined(asked.texts)),
            ids=ids,
            hashes=hashes,
            names=NAMES,
            tuples=rows if way.for_sqlite else [],
            lines=[] if way.for_sqlite else rows,
            rejects=rejects,
            seen=drift.look(picked.for_drift, normaliser.convert, all_of=True),
            profile=profiles.sampled(picked.for_profile, normaliser.convert),
            lean=asked.lean,
        )

    return prepare


class Picked:
    """Of a batch's payloads those by which it is described; `every`: drift is looked for in all."""

    def __init__(self, size: int, *, every: bool) -> None:
        self._drift = range(size) if every else drift.sample(size)
        self._profile = profiles.sample(size)
        self.for_drift: list[Any] = []
        self.for_profile: list[Any] = []

    def look(self, part: Sequence[Any], start: int) -> None:
        for places, found in (
            (self._drift, self.for_drift), (self._profile, self.for_profile)
        ):  # fmt: skip
            first, last = (bisect_left(places, at) for at in (start, start + len(part)))
            found += [part[at - start] for at in places[first:last]]
