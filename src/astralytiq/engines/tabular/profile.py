"""What a table holds, column by column: read from its Parquet file, one column at a time.

    found = profile(Path("flights.parquet"))
    found.columns[0].nulls, found.columns[0].quantiles["p50"]
    stored = asdict(found)          # JSON as it is: no NaN, no infinity, times as ISO 8601 text
    restored(stored) == found       # back again, for `drift` and `quality`

Figures are exact up to 16.8 million rows. Beyond, `estimated` is true and one row in k is looked
at; rows, nulls, NaN, infinities, min and max stay exact. The same content gives the same profile.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import gathering, histograms
from .gathering import Gathered, RowHashes
from .histograms import POINTS, QUANTILES, Distribution, Histogram, Runs
from .reading import NUMBERS, ORDERED, TIMES, Field, Part, Table
from .texts import Texts

__all__ = ["ColumnProfile", "TableProfile", "Value", "asdict", "profile", "restored"]

Progress = Callable[[float], None]

THREADS = 2
TOP = 50
LONGEST_TOP = 200
SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
LEAST_POINTS, LEAST_TOP = 16, 5
CELLS_OF_DETAIL = 1 << 16


@dataclass(frozen=True)
class Value:
    """A value (text is cut at 200 characters; times are ISO 8601) and in how many rows it is."""

    value: Any
    count: int


@dataclass(frozen=True)
class ColumnProfile:
    """One column. What makes no sense for its kind is None (or empty).

    `kind`: int, float, bool, date, timestamp, text, bytes or other (nested; only nulls counted).
    `nulls` are without a value; `nan` and `infinite` count floats that are no finite numbers: all
    figures below are of the others. `distinct` counts different values, NaN and infinities aside;
    it is an estimate if `estimated`. `std` divides by n - 1, of times it is in seconds. `top`:
    the commonest values, of equals the smaller first; empty where no value comes twice and there
    are many. `true_share`: of the values that are there.
    """

    name: str
    type: str
    kind: str
    nulls: int
    null_share: float
    distinct: int | None
    estimated: bool
    nan: int
    infinite: int
    min: Any
    max: Any
    mean: Any
    std: float | None
    zeros: int | None
    negatives: int | None
    quantiles: dict[str, Any] | None
    histogram: Histogram | None
    distribution: Distribution | None
    top: list[Value]
    texts: Texts | None
    true_share: float | None


@dataclass(frozen=True)
class TableProfile:
    """`repeated_rows`: equal to an earlier row in every column; None where that cannot be said."""

    rows: int
    repeated_rows: int | None
    estimated: bool
    columns: list[ColumnProfile]

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Detail:
    """How much is kept of a column: less of each where there are very many."""

    points: int
    top: int
    stride: int


def profile(
    path: Path,
    *,
    progress: Progress | None = None,
    threads: int = THREADS,
    most_rows: int = gathering.MOST_ROWS,
) -> TableProfile:
    """The profile of the table in a Parquet file.

    `progress` is called with the share that is done, from 0 to 1, in the caller's thread; what it
    raises ends the work. Memory: about 8 bytes a row, and 24 more of them a thread, up to
    `most_rows` rows. Raises pyarrow.ArrowInvalid if the file is no Parquet.
    """
    with Table(path) as table:
        stride = gathering.stride_of(table.rows, most_rows)
        hashes = RowHashes(table.rows) if stride == 1 else None
        columns: list[ColumnProfile] = []
        for done in in_threads(table, detail_of(table, stride), hashes, threads):
            columns += done
            if progress:
                progress(len(columns) / len(table.fields))
        return TableProfile(table.rows, repeated(table, hashes, stride), stride > 1, columns)


def detail_of(table: Table, stride: int) -> Detail:
    each = CELLS_OF_DETAIL // max(1, len(table.fields))
    return Detail(
        points=max(LEAST_POINTS, min(POINTS, each)),
        top=max(LEAST_TOP, min(TOP, each)),
        stride=stride,
    )


def in_threads(
    table: Table, detail: Detail, hashes: RowHashes | None, threads: int
) -> Iterator[list[ColumnProfile]]:
    """Block after block in the order of columns. NumPy and Arrow let go of the interpreter."""
    executor = ThreadPoolExecutor(threads, thread_name_prefix="profile")
    try:
        work = partial(profiled, table, detail, hashes)
        yield from executor.map(work, table.blocks())
    finally:
        executor.shutdown(cancel_futures=True)


def profiled(
    table: Table, detail: Detail, hashes: RowHashes | None, fields: list[Field]
) -> list[ColumnProfile]:
    gathered = [Gathered(detail.stride) for _ in fields]
    with Table(table.path, table.metadata) as own:
        for parts in own.parts(fields):
            for part, one in zip(parts, gathered, strict=True):
                one.add(part)
                if hashes:
                    hashes.add(part)
        pairs = zip(fields, gathered, strict=True)
        return [described(own, field, one, detail) for field, one in pairs]


def repeated(table: Table, hashes: RowHashes | None, stride: int) -> int | None:
    if not table.fields or any(field.kind == "other" for field in table.fields):
        return None
    if hashes is None:
        return gathering.repeated_of_many(table, stride)
    return gathering.repeated(hashes.words)


# One column -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """All that is known of a column: what was gathered, and its values in their order."""

    table: Table
    field: Field
    gathered: Gathered
    ordered: NDArray[Any]
    runs: Runs
    detail: Detail

    def is_measured(self) -> bool:
        return self.field.kind in ORDERED and len(self.ordered) > 0


def described(table: Table, field: Field, gathered: Gathered, detail: Detail) -> ColumnProfile:
    ordered = gathered.ordered(and_places=field.kind == "text")
    kept = Kept(table, field, gathered, ordered, histograms.runs(ordered), detail)
    is_bool = field.kind == "bool" and len(ordered) > 0
    return ColumnProfile(
        name=field.name,
        type=field.type,
        kind=field.kind,
        nulls=gathered.nulls,
        null_share=gathered.nulls / table.rows if table.rows else 0.0,
        distinct=distinct_of(kept),
        estimated=detail.stride > 1,
        nan=gathered.nan,
        infinite=gathered.infinite,
        **(measured(kept) if kept.is_measured() else UNMEASURED),
        top=top_of(kept),
        texts=gathered.texts.found(),
        true_share=float(ordered.mean()) if is_bool else None,
    )


UNMEASURED: Mapping[str, Any] = dict.fromkeys(
    ("min", "max", "mean", "std", "zeros", "negatives", "quantiles", "histogram", "distribution")
)


def distinct_of(kept: Kept) -> int | None:
    if kept.field.kind == "other":
        return None
    one = kept.gathered
    there = kept.table.rows - one.nulls - one.nan - one.infinite
    return min(there, gathering.distinct(kept.runs, kept.detail.stride))


def measured(kept: Kept) -> dict[str, Any]:
    ordered, field = kept.ordered, kept.field
    is_number = field.kind in NUMBERS
    values = histograms.quantiles(ordered, list(QUANTILES.values()), between=is_number)
    edges, counts = histograms.bars(ordered)
    negatives, up_to_zero = (
        int(np.searchsorted(ordered, ordered.dtype.type(0), side)) for side in SIDES
    )
    return {
        "min": shown(kept.gathered.low, field),
        "max": shown(kept.gathered.high, field),
        **moments(ordered, field),
        "zeros": up_to_zero - negatives if is_number else None,
        "negatives": negatives if is_number else None,
        "quantiles": dict(zip(QUANTILES, (shown(one, field) for one in values), strict=True)),
        "histogram": Histogram([shown(edge, field) for edge in edges], counts),
        "distribution": histograms.distribution(ordered, kept.runs, kept.detail.points),
    }


def moments(ordered: NDArray[Any], field: Field) -> dict[str, Any]:
    """Mean and standard deviation, None where they leave what a float holds."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(ordered.mean(dtype=np.float64))
        std = float(ordered.std(ddof=1, dtype=np.float64)) if len(ordered) > 1 else None
    if field.kind not in TIMES:
        return {"mean": finite(mean), "std": finite(std)}
    seconds = 86400 if field.kind == "date" else 1e-6
    return {"mean": shown(int(mean), field), "std": None if std is None else std * seconds}


def finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def shown(value: Any, field: Field) -> Any:
    """As JSON has it: times as ISO 8601 text, in UTC."""
    if field.kind == "date":
        return str(np.datetime64(value, "D"))
    if field.kind == "timestamp":
        text = str(np.datetime64(value, "us"))
        return text.removesuffix(".000000") + "Z"
    return bool(value) if field.kind == "bool" else value


def top_of(kept: Kept) -> list[Value]:
    counts, most = kept.runs.counts, kept.detail.top
    if kept.field.kind in ("bytes", "other") or (len(counts) > most and counts.max() == 1):
        return []
    places = histograms.commonest(counts, most)
    values = kept.ordered[kept.runs.starts[places]].tolist()
    if kept.field.kind == "text":
        words = texts_of(kept, values)
        values = [words[value] for value in values]
    else:
        values = [shown(value, kept.field) for value in values]
    rows = (counts[places] * kept.detail.stride).tolist()
    pairs = sorted(zip(values, rows, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [Value(value, count) for value, count in pairs]


def texts_of(kept: Kept, hashes: list[int]) -> dict[int, str]:
    """The texts behind hashes, read again from where they come first: mostly in the first part."""
    places = kept.gathered.first_places(np.sort(np.array(hashes, dtype=np.uint64)))
    left = sorted((number, place, word) for word, (number, place) in places.items())
    words: dict[int, str] = {}
    for number, part in enumerate(parts_again(kept)):
        while left and left[0][0] == number:
            _, place, word = left.pop(0)
            words[word] = part.each(kept.detail.stride).present[place].as_py()[:LONGEST_TOP]
        if not left:
            break
    return words


def parts_again(kept: Kept) -> Iterator[Part]:
    if kept.gathered.first:
        yield kept.gathered.first
    for (part,) in islice(kept.table.parts([kept.field]), 1, None):
        yield part


def restored(stored: Mapping[str, Any]) -> TableProfile:
    """The profile out of what `asdict` made of it."""
    columns = [restored_column(column) for column in stored["columns"]]
    return TableProfile(stored["rows"], stored["repeated_rows"], stored["estimated"], columns)


def restored_column(stored: Mapping[str, Any]) -> ColumnProfile:
    parts = {"histogram": Histogram, "distribution": Distribution, "texts": Texts}
    made = {name: kind(**stored[name]) for name, kind in parts.items() if stored[name]}
    top = [Value(**value) for value in stored["top"]]
    return ColumnProfile(**{**stored, **made, "top": top})
