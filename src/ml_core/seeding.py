"""The rows that become the first centres: far from one another, or simply drawn."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml_core.kmeans_reference import (
    Floats,
    Rows,
    part_size,
    part_totals,
    slice_of,
    squared_distances,
    total,
)

ChosenRows = NDArray[np.intp]

# Sides of `numpy.searchsorted`.
_Side = Literal["left", "right"]
_BEYOND: _Side = "right"
_UP_TO: _Side = "left"


def seed_rows(X: Rows, weights: Floats, draws: Floats) -> ChosenRows:
    """Greedy k-means++: the rows that become the first centres, one for each line of ``draws``.

    The first is drawn with probability proportional to its weight, each further one to weight times
    squared distance from the nearest row chosen so far. Of the candidates of a line the one that
    leaves the least inertia is taken, of equals the first. Rows repeat only if there are fewer
    distinct ones than centres. Costs O(n_rows x n_features x n_clusters x trials).
    """
    chosen = [int(rows_at(weights, draws[0, :1])[0])]
    closest = squared_distances(X, X[chosen])[0]
    for line in draws[1:]:
        candidates = rows_at(weights * closest, line)
        left = np.minimum(squared_distances(X, X[candidates]), closest)
        best = int(np.argmin([total(weights * one) for one in left]))
        chosen.append(int(candidates[best]))
        closest = left[best]
    return np.array(chosen, dtype=np.intp)


def random_rows(weights: Floats, draws: Floats) -> ChosenRows:
    """A row for each of the ``draws``: drawn by weight from those that were not drawn yet.

    If fewer rows than draws have weight, the first row takes the places that are left over. Costs
    O(n_rows), and for each draw O(n_rows / 64).
    """
    mass = weights.copy()
    totals = part_totals(mass)
    chosen = []
    for draw in draws:
        row = row_at(mass.__getitem__, totals, mass.size, draw)
        chosen.append(row)
        mass[row] = 0.0
        part = row // part_size(mass.size)
        totals[part] = mass[slice_of(part, mass.size)].cumsum()[-1]
    return np.array(chosen, dtype=np.intp)


def rows_at(mass: Floats, draws: Floats) -> ChosenRows:
    """For each draw from [0, 1) the row that holds this share of the mass: P(row) ~ mass[row].

    ``mass`` is (n_rows,) and at least 0. A row without mass is only answered if no row has any:
    then it is the first.
    """
    totals = part_totals(mass)
    rows = [row_at(mass.__getitem__, totals, mass.size, draw) for draw in draws]
    return np.array(rows, dtype=np.intp)


def row_at(mass_of: Callable[[slice], Floats], totals: Floats, n_rows: int, draw: float) -> int:
    """As `rows_at`, for one draw; only the mass of one part is asked for.

    ``totals`` is the mass of each part. The mass up to a row is that of the parts before it in
    turn, plus that of its own part up to it: it never falls from one row to the next, since
    rounding keeps the order of sums.
    """
    part, target, side = place_of(totals, draw)
    rows = slice_of(part, n_rows)
    before = totals[:part].cumsum()[-1] if part else 0.0
    reached = before + mass_of(rows).cumsum()
    return int(rows.start + np.searchsorted(reached, target, side=side))


def place_of(totals: Floats, draw: float) -> tuple[int, float, _Side]:
    """The part that holds this share of the mass, the mass to reach, and how.

    The row is the first that goes beyond the mass ("right"). Of a mass near the smallest float, a
    share may round to all, and no row goes beyond that: then it is the first that reaches it.
    """
    ends = totals.cumsum()
    target, side = draw * ends[-1], _BEYOND
    if not target < ends[-1]:
        target, side = ends[-1], _UP_TO
    return int(np.searchsorted(ends, target, side=side)), float(target), side
