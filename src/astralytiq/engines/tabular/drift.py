"""How a table differs from an earlier one, from their profiles alone: no data is read again.

Two measures for each column, both between the shares of values in the two tables:

- PSI, the population stability index: sum of (a - b) * ln(a / b) over bins. Bins are cut at the
  deciles of the table before (of truths, text and columns of up to 20 different values: at the
  commonest values of both, and the rest), and one more holds what is missing. Below 0.1 the
  column is held to be stable, from 0.1 moderately and from 0.25 majorly changed (Lewis 1994, An
  Introduction to Credit Scoring; Siddiqi 2006, Credit Risk Scorecards). Half a row is added to
  each bin, so that empty ones stay finite.
- KS, the Kolmogorov-Smirnov distance of columns that have an order: the largest gap between the
  two distribution functions. A profile knows each function exactly at up to 129 of its own values,
  and between them within 1/128. `ks_low` and `ks_high` hold the true distance between them; `ks`
  takes a straight line between known points. With up to 128 different values in both all three
  are equal. `ks_p`: how likely chance alone makes a gap like `ks` (asymptotic; Smirnov 1948).

Small tables differ by chance: PSI of equal ones is then (bins - 1) * (1/n + 1/m) times chi-squared
over its degrees of freedom (Yurdakul and Naranjo 2020). A verdict needs PSI to be above its 95 %
point, too. Of large tables `ks_p` is nearly always 0, and says little about how much changed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .histograms import Distribution, Number
from .profile import ColumnProfile, TableProfile
from .reading import NUMBERS, ORDERED

MODERATE, MAJOR = 0.1, 0.25
DECILES = 10
FEW = 20
LEAST_SHARE = 0.005  # Rarer categories go with the rest.
NORMAL_95 = 1.6448536269514722
Values = NDArray[Any]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """One column. `kind`: compared, added, removed, type_changed or not_compared.

    `verdict`: none, moderate or major; of a column that is not compared (nested, or without any
    value in one table) None. `before` and `after` are its types, None where it is not there.
    """

    column: str
    kind: str
    verdict: str | None
    before: str | None
    after: str | None
    psi: float | None = None
    ks: float | None = None
    ks_low: float | None = None
    ks_high: float | None = None
    ks_p: float | None = None
    missing_before: float | None = None
    missing_after: float | None = None


def drift(before: TableProfile, after: TableProfile) -> list[Drift]:
    """Column by column in the order of `before`, then those that are new."""
    old = {column.name: column for column in before.columns}
    new = {column.name: column for column in after.columns}
    found = [
        compared(column, new[name], before.rows, after.rows)
        if name in new
        else Drift(name, "removed", "major", column.type, None)
        for name, column in old.items()
    ]
    return found + [
        Drift(name, "added", "major", None, column.type)
        for name, column in new.items()
        if name not in old
    ]


def compared(old: ColumnProfile, new: ColumnProfile, n: int, m: int) -> Drift:
    types: dict[str, Any] = {"before": old.type, "after": new.type}
    if not comparable(old.kind, new.kind):
        return Drift(old.name, "type_changed", "major", **types)
    if old.kind in ("bytes", "other") or not n or not m:
        return Drift(old.name, "not_compared", None, **types)
    counts = bins(old, new, n, m)
    psi = stability_index(*counts)
    shares: dict[str, Any] = {"missing_before": missing(old) / n, "missing_after": missing(new) / m}
    gaps: dict[str, Any] = {}
    if old.distribution and new.distribution:
        gaps = distances(old.distribution, new.distribution)
        gaps["ks_p"] = chance(gaps["ks"], old.distribution.up_to[-1], new.distribution.up_to[-1])
    return Drift(old.name, "compared", verdict(psi, *counts), **types, psi=psi, **gaps, **shares)


def comparable(old: str, new: str) -> bool:
    return old == new or {old, new} <= NUMBERS


def missing(column: ColumnProfile) -> int:
    return column.nulls + column.nan + column.infinite


# Population stability index ---------------------------------------------------------------------


def bins(old: ColumnProfile, new: ColumnProfile, n: int, m: int) -> tuple[Shares, Shares]:
    """How many rows of both tables lie in each bin; the last holds what is missing."""
    ordered = old.kind in ORDERED and not (is_listed(old) and is_listed(new))
    cut = of_ordered if ordered else of_categories
    lacks = missing(old), missing(new)
    before, after = cut(old, new, n - lacks[0], m - lacks[1])
    return np.array([*before, lacks[0]], dtype=float), np.array([*after, lacks[1]], dtype=float)


def is_listed(column: ColumnProfile) -> bool:
    """So few different values that each is a bin: one that is new would hide among others."""
    return (column.distinct or 0) <= min(FEW, len(column.top))


def of_ordered(
    old: ColumnProfile, new: ColumnProfile, n: int, m: int
) -> tuple[Sequence[float], Sequence[float]]:
    """Cut at the deciles of the one before; without values there, of the one after."""
    guide = old.distribution or new.distribution
    if guide is None:
        return [], []
    edges = deciles(guide)
    return parted(old.distribution, edges, n), parted(new.distribution, edges, m)


def deciles(guide: Distribution) -> list[Number]:
    """Values that have a tenth more of all up to them than the one before; not the greatest."""
    shares = np.array(guide.up_to[:-1]) / guide.up_to[-1]
    places = np.searchsorted(shares, np.arange(1, DECILES) / DECILES)
    return [guide.edges[place] for place in np.unique(places) if place < len(shares)]


def parted(known: Distribution | None, edges: Sequence[Number], rows: int) -> list[float]:
    if known is None:
        return [0.0] * (len(edges) + 1)
    shares = Known(known).up_to(np.array(edges))
    found: list[float] = (np.diff(shares, prepend=0.0, append=1.0) * rows).tolist()
    return found


def of_categories(
    old: ColumnProfile, new: ColumnProfile, n: int, m: int
) -> tuple[Sequence[float], Sequence[float]]:
    """The commonest values of either, and the rest."""
    before, after = tops(old), tops(new)
    names = [
        name
        for name in dict.fromkeys((*before, *after))
        if max(before.get(name, 0) / max(n, 1), after.get(name, 0) / max(m, 1)) >= LEAST_SHARE
    ]
    first, second = ([float(top.get(name, 0)) for name in names] for top in (before, after))
    return [*first, max(0.0, n - sum(first))], [*second, max(0.0, m - sum(second))]


def tops(column: ColumnProfile) -> Mapping[Any, int]:
    counts: dict[Any, int] = {}
    for one in column.top:  # Long texts that were cut may have become equal.
        counts[one.value] = counts.get(one.value, 0) + one.count
    return counts


def stability_index(before: Shares, after: Shares) -> float:
    first, second = smoothed(before), smoothed(after)
    return max(0.0, float(np.sum((second - first) * np.log(second / first))))


def smoothed(counts: Shares) -> Shares:
    added = counts + 0.5
    shares: Shares = added / added.sum()
    return shares


def verdict(psi: float, before: Shares, after: Shares) -> str:
    if psi < MODERATE or psi <= by_chance(before, after):
        return "none"
    return "major" if psi >= MAJOR else "moderate"


def by_chance(before: Shares, after: Shares, normal: float = NORMAL_95) -> float:
    """What PSI stays below in 95 of 100 pairs of tables that are drawn from one source.

    `normal`: the normal distribution's quantile of another share than 95 %.
    """
    freedom = int(((before + after) > 0).sum()) - 1
    if freedom < 1:
        return 0.0
    # The point of chi-squared, within 1 % (Wilson and Hilferty 1931).
    part = 2 / (9 * freedom)
    point = freedom * (1 - part + normal * math.sqrt(part)) ** 3
    return float(point * (1 / before.sum() + 1 / after.sum()))


# Kolmogorov-Smirnov -----------------------------------------------------------------------------


class Known:
    """A distribution function at many values at once: exact at its edges, in bounds between."""

    def __init__(self, known: Distribution) -> None:
        self._edges = np.array(known.edges)
        total = known.up_to[-1]
        self._below = np.array([*known.below, total]) / total
        self._up_to = np.array([0, *known.up_to]) / total

    def bounds(self, values: Values) -> tuple[Shares, Shares]:
        """The least and greatest share that may lie up to each value."""
        after = np.searchsorted(self._edges, values, side="right")
        low = self._up_to[after]
        return low, np.where(self._is_edge(values), low, self._below[after])

    def bounds_below(self, values: Values) -> tuple[Shares, Shares]:
        """The same of the share below each value."""
        after = np.searchsorted(self._edges, values, side="left")
        high = self._below[after]
        return np.where(self._is_edge(values), high, self._up_to[after]), high

    def up_to(self, values: Values) -> Shares:
        return self._straight(*self.bounds(values), values)

    def below(self, values: Values) -> Shares:
        return self._straight(*self.bounds_below(values), values)

    def _straight(self, low: Shares, high: Shares, values: Values) -> Shares:
        if len(self._edges) < 2:
            return low
        return low + (high - low) * self._way(values)

    def _is_edge(self, values: Values) -> NDArray[np.bool_]:
        places = np.searchsorted(self._edges, values).clip(max=len(self._edges) - 1)
        found: NDArray[np.bool_] = self._edges[places] == values
        return found

    def _way(self, values: Values) -> Shares:
        """How far each is from the edge before to the next, 0 to 1; half way if that is no way."""
        after = np.searchsorted(self._edges, values, side="right").clip(1, len(self._edges) - 1)
        halves = self._edges.astype(float) / 2  # Twice the greatest float is none.
        width = halves[after] - halves[after - 1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            way = (values.astype(float) / 2 - halves[after - 1]) / width
        found: Shares = np.where(width > 0, way, 0.5).clip(0, 1)
        return found


def distances(before: Distribution, after: Distribution) -> dict[str, float]:
    """The largest gap: as far as known at least, at most, and by straight lines between."""
    one, two = Known(before), Known(after)
    edges = np.unique(np.concatenate([np.array(before.edges), np.array(after.edges)]))
    at, under = (
        (one.bounds(edges), two.bounds(edges)),
        (
            one.bounds_below(edges),
            two.bounds_below(edges),
        ),
    )
    # From one edge to the next either function only rises, between what is known at the ends.
    between = (
        (at[0][0][:-1], under[0][1][1:]),
        (at[1][0][:-1], under[1][1][1:]),
    )
    straight = (
        one.up_to(edges) - two.up_to(edges),
        one.below(edges) - two.below(edges),
    )
    return {
        "ks": float(np.abs(straight).max()),
        "ks_low": max(0.0, *(least(*pair) for pair in (at, under))),
        "ks_high": min(1.0, max(most(*pair) for pair in (at, under, between))),
    }


Bounds = tuple[Shares, Shares]


def least(one: Bounds, two: Bounds) -> float:
    return float(np.maximum(one[0] - two[1], two[0] - one[1]).max(initial=0.0))


def most(one: Bounds, two: Bounds) -> float:
    return float(np.maximum(one[1] - two[0], two[1] - one[0]).max(initial=0.0))


def chance(gap: float, n: int, m: int) -> float:
    """How likely two samples of one source are at least so far apart (Kolmogorov's series)."""
    size = math.sqrt(n * m / (n + m))
    scaled = (size + 0.12 + 0.11 / size) * gap  # Stephens 1970: good from a handful of values on.
    if scaled < 0.2:
        return 1.0
    series = ((-1) ** (step - 1) * math.exp(-2 * (step * scaled) ** 2) for step in range(1, 101))
    return float(min(1.0, max(0.0, 2 * sum(series))))
