"""All of a batch's work that needs no database, so that it can be done beside the one before it.

By the kernel where there is one, which lets go of the interpreter's lock meanwhile; what that
leaves, and all where there is none, by the Python that defines it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from astralytiq.core.rows import Form, lines, tuples
from astralytiq.engines.etl import drift, packing, profiles
from astralytiq.engines.etl.batch import (
    NAMES,
    Rejected,
    columns_of,
    last_of_each,
    one_by_one,
    slices,
)
from astralytiq.engines.etl.columns import Columns
from astralytiq.engines.etl.compiled import Kernel, Made, kernel_of
from astralytiq.engines.etl.drift import Seen
from astralytiq.engines.etl.faults import Bent
from astralytiq.engines.etl.normalise import Normaliser
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.engines.etl.profiles import Profile
from astralytiq.engines.etl.values import from_csv

# Of a batch, that the kernel may leave: of more Python makes all, many at a time.
MOST_LEFT = 0.5


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


@dataclass(frozen=True)
class Prepared:
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


@dataclass
class Records:
    """Records one by one: their source_ids, their content hashes, and their rows if wanted."""

    ids: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    def at(self, places: Sequence[int]) -> "Records":
        columns = (self.ids, self.hashes, self.rows)
        return Records(*([column[at] for at in places] if column else [] for column in columns))


class Preparer:
    """Prepares the batches of one source; any thread may ask."""

    def __init__(self, way: Way, kernels: Callable[..., Kernel | None] = kernel_of) -> None:
        self._way = way
        self._normaliser = way.normaliser()
        self._rows_of = tuples if way.for_sqlite else lines
        self._kernel = kernels(self._normaliser, for_sqlite=way.for_sqlite)

    def prepare(self, payloads: Sequence[Any], *, lean: bool = False) -> Prepared:
        held, rejects = Payloads.of(payloads), list[Rejected]()
        made = self._made(payloads, held, lean)
        if made:
            records = self._completed(made, held, rejects, lean)
        else:
            records = self._plainly(payloads, rejects, lean)
        kept = last_of_each(records.ids)
        if len(kept) < len(records.ids):
            records = records.at(kept)
        return Prepared(
            size=len(payloads),
            raw=packing.closed(packing.joined(held.texts)),
            ids=records.ids,
            hashes=records.hashes,
            names=NAMES,
            tuples=records.rows if self._way.for_sqlite else [],
            lines=[] if self._way.for_sqlite else records.rows,
            rejects=rejects,
            seen=self._seen(payloads),
            profile=self._profile(payloads),
            lean=lean,
        )

    def _made(self, payloads: Sequence[Any], held: Payloads, lean: bool) -> Made | None:
        """By the kernel; None if it has left too much, or could not tell what a drill has bent."""
        if self._kernel is None or (held is not payloads and Bent in set(map(type, payloads))):
            return None
        made = self._kernel.made(held, lean=lean)
        return made if made and len(made.left) <= MOST_LEFT * len(held) else None

    def _plainly(self, payloads: Sequence[Any], rejects: list[Rejected], lean: bool) -> Records:
        records = Records()
        for start, part in slices(payloads):
            self._add(records, columns_of(self._normaliser, part, start, rejects), lean)
        return records

    def _completed(
        self, made: Made, held: Payloads, rejects: list[Rejected], lean: bool
    ) -> Records:
        """With the records of the payloads that the kernel has left, each in its place."""
        records = Records(made.ids, made.hashes, made.rows)
        if not made.left:
            return records
        left = set(made.left)
        places = [place for place in range(len(held)) if place not in left]
        columns = one_by_one(self._normaliser, held.at(made.left), made.left, rejects)
        self._add(records, columns, lean)
        places += columns["raw_position"]
        return records.at(sorted(range(len(places)), key=places.__getitem__))

    def _add(self, records: Records, columns: Columns, lean: bool) -> None:
        records.ids += columns["source_id"]
        records.hashes += columns["content_hash"]
        records.rows += [] if lean else self._rows_of(columns, self._way.forms)

    def _seen(self, payloads: Sequence[Any]) -> Seen:
        size = len(payloads)
        places = range(size) if self._way.every else drift.sample(size)
        return drift.look(taken(payloads, places), self._normaliser.convert, all_of=True)

    def _profile(self, payloads: Sequence[Any]) -> Profile:
        places = profiles.sample(len(payloads))
        return profiles.sampled(taken(payloads, places), self._normaliser.convert)


def taken(payloads: Sequence[Any], places: Sequence[int]) -> list[Any]:
    if isinstance(payloads, Payloads):
        return payloads.at(places)
    return [payloads[place] for place in places]
