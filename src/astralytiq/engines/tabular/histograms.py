"""What sorted values look like: runs of equal ones, quantiles, bars to draw, and a distribution.

Everything follows from the values alone, so that the same content always gives the same figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BARS = 20
POINTS = 128
QUANTILES = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}

Values = NDArray[Any]
Number = int | float


@dataclass(frozen=True)
class Histogram:
    """Bars of equal width: `counts[i]` values lie in [edges[i], edges[i + 1]), the last closed.

    Edges are numbers, or of times their ISO 8601 text.
    """

    edges: list[Any]
    counts: list[int]


@dataclass(frozen=True)
class Distribution:
    """How many values lie below each edge and up to it, exactly, at up to 129 values that occur.

    Edges are numbers (of times: microseconds or days since 1970). Between two neighbours lies no
    more than 1/128 of all values, so that the distribution function is known within that anywhere,
    and exactly where there are no more than 128 different values.
    """

    edges: list[Number]
    below: list[int]
    up_to: list[int]


@dataclass(frozen=True)
class Runs:
    """The different values in their order, by where the first of each stands."""

    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


def runs(ordered: Values) -> Runs:
    """Every array is made in its place: there may be millions."""
    begins = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    counts = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1:] = len(ordered) - starts[-1:]
    return Runs(starts, counts)


def commonest(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The places of the largest counts, the largest first; of equals, those that come first."""
    if len(counts) > size:
        least = np.partition(counts, len(counts) - size)[len(counts) - size]
        above = np.flatnonzero(counts > least)
        equal = np.flatnonzero(counts == least)[: size - len(above)]
        chosen = np.sort(np.concatenate([above, equal]))
    else:
        chosen = np.arange(len(counts))
    found: NDArray[np.int64] = chosen[np.argsort(-counts[chosen], kind="stable")]
    return found


def quantiles(ordered: Values, shares: Sequence[float], *, between: bool) -> list[Number]:
    """With `between`, a quantile that falls between two values is drawn from both (type 7 of
    Hyndman and Fan 1996, the default of NumPy, R and pandas), else it is the lower one."""
    found: list[Number] = []
    for share in shares:
        place = share * (len(ordered) - 1)
        low, high = ordered[math.floor(place)].item(), ordered[math.ceil(place)].item()
        part = place - math.floor(place)
        found.append(low if low == high or not between else low * (1 - part) + high * part)
    return found


def bars(ordered: Values, size: int = BARS) -> tuple[list[Number], list[int]]:
    """Edges and counts of a histogram; of few whole numbers each has a bar of its own."""
    low, high = ordered[0].item(), ordered[-1].item()
    edges = edges_between(low, high, size)
    below = [int(np.searchsorted(ordered, fitting(edge, ordered))) for edge in edges[1:-1]]
    return edges, np.diff([0, *below, len(ordered)]).tolist()


def edges_between(low: Number, high: Number, size: int) -> list[Number]:
    if isinstance(low, int) and isinstance(high, int):
        if high - low < size:
            return [low + step for step in range(high - low + 2)]
        return [*(low + (high - low) * step // size for step in range(size)), high]
    if low == high:
        return [low, high]
    steps = (step / size for step in range(size + 1))
    return [low * (1 - share) + high * share for share in steps]


def fitting(edge: Number, ordered: Values) -> Any:
    """In the type of the values: as another one, NumPy would convert all of them."""
    return ordered.dtype.type(edge)


def distribution(ordered: Values, found: Runs, points: int = POINTS) -> Distribution:
    if len(found) <= points:
        places = found.starts
    else:
        chosen = np.round(np.arange(points + 1) * (len(ordered) - 1) / points).astype(np.int64)
        places = found.starts[np.unique(np.searchsorted(found.starts, chosen, side="right") - 1)]
    ends = np.append(found.starts[1:], len(ordered))
    up_to = ends[np.searchsorted(found.starts, places)]
    return Distribution(ordered[places].tolist(), places.tolist(), up_to.tolist())


def distribution_of(values: Values) -> Distribution:
    """Of values in any order; what is no finite number is left out."""
    ordered = np.sort(values[np.isfinite(values)])
    return distribution(ordered, runs(ordered))
