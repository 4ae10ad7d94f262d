"""How old the newest row is, beside how often rows come.

    score = min(1, shelf life / age)

after Ballou et al. 1998 (Modeling information manufacturing systems: currency over volatility),
with a curve that halves where theirs drops to nothing. The shelf life is given, or is the longest
silence that the column itself has known between two of its moments, and at least a day: data that
comes on work days is not late on a Sunday, and what was late once before is no news.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from .checks import Check, Fault, Judge, by_number
from .profile import ColumnProfile, TableProfile, shown
from .reading import TIMES, Table
from .rules import EPOCH

DAY = timedelta(days=1)
UNIT = {"date": DAY, "timestamp": timedelta(microseconds=1)}
# Words in the names of columns that say when a row came about, the likeliest first.
TELLING = (
    "updated", "modified", "changed", "ingested", "recorded", "observed", "measured", "logged",
    "created", "timestamp", "event", "time", "date", "datetime", "day", "at", "ts",
)  # fmt: skip
# And that it tells of something else.
OTHER = frozenset((
    "birth", "birthday", "birthdate", "dob", "born", "due", "expiry", "expires", "expired",
    "expiration", "valid", "until", "planned", "scheduled", "deadline", "end", "deleted",
))  # fmt: skip


@dataclass(frozen=True)
class Freshness:
    """`score` 0 to 1; ages in seconds. `future`: moments after `as_of`, which are faults."""

    column: str
    newest: str
    age_seconds: float
    shelf_seconds: float
    score: float
    future: Fault


def moment_column(profile: TableProfile) -> ColumnProfile | None:
    """The column that says when rows came about; None if no name tells."""
    ranked = [
        (rank, place)
        for place, column in enumerate(profile.columns)
        if column.kind in TIMES and column.max is not None
        for rank in [rank_of(column.name)]
        if rank is not None
    ]
    return profile.columns[min(ranked)[1]] if ranked else None


def rank_of(name: str) -> int | None:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    found = set(re.split(r"[^a-z]+", words))
    if found & OTHER:
        return None
    return next((rank for rank, word in enumerate(TELLING) if word in found), None)


def measure(
    table: Table, column: ColumnProfile, as_of: datetime, shelf: timedelta | None
) -> Freshness | None:
    """None if no moment lies before `as_of`."""
    field = table.field(column.name)
    assert field is not None
    unit = UNIT[column.kind]
    now = (as_of - EPOCH) // unit
    late = Check(
        column.name, "future", f"Moments must not be after {shown_time(as_of)}.", later(now)
    )
    kept: list[NDArray[np.int64]] = []
    for (part,) in table.parts([field]):
        late.add(part)
        kept.append(part.numbers[part.numbers <= now])
    moments = in_order(kept)
    if not len(moments):
        return None
    longest = int(np.diff(moments).max(initial=0)) * unit
    life = shelf or max(DAY, longest)
    newest = int(moments[-1])
    age = max(timedelta(0), as_of - EPOCH - newest * unit)
    score = min(1.0, life / age) if age else 1.0
    return Freshness(
        column.name, shown(newest, field), age.total_seconds(), life.total_seconds(), score,
        late.found(),
    )  # fmt: skip


def later(now: int) -> Judge:
    return lambda part: by_number(part, lambda numbers: numbers > now)


def in_order(kept: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Sorting takes a hundredth of what finding the different ones by hash would."""
    moments = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    moments.sort()
    return moments


def shown_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
