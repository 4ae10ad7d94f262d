"""K-Means in plain Python, for the command line: a small file is clustered before NumPy is loaded.

Not another algorithm: the same operations in the same order as in `kmeans_reference`, `seeding` and
`lloyd`, so that the result has the same bits. Meant for at most `MOST_ROWS` rows, one block there.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from functools import reduce
from itertools import accumulate
from operator import add
from random import Random
from typing import NamedTuple

from ml_core.kmeans_shared import check_spread, seeding_draws

Line = list[float]
Lines = list[Line]

# Above, loading NumPy (0.2 s) costs less than doing without it.
MOST_ROWS = 500
MOST_PRODUCTS = 20_000


class PlainClustering(NamedTuple):
    """As `lloyd.Clustering`, in lists."""

    labels: list[int]
    centres: Lines
    inertia: float
    n_iter: int


def is_small(n_rows: int, n_features: int, n_clusters: int) -> bool:
    return n_rows <= MOST_ROWS and n_rows * n_features * n_clusters <= MOST_PRODUCTS


def plain_kmeans(
    rows: Lines, n_clusters: int, max_iter: int, random_state: int, tol: float = 1e-4
) -> PlainClustering:
    """What ``KMeans(n_clusters, max_iter=…, random_state=…).fit(rows)`` finds."""
    tolerance = tol * check_spread(_spread(rows), len(rows), len(rows[0]))
    draws = seeding_draws(Random(random_state), n_clusters)
    centres = [rows[at] for at in _seed_rows(rows, draws)]
    return _lloyd(rows, centres, max_iter, tolerance)


def _seed_rows(rows: Lines, draws: Lines) -> list[int]:
    chosen = [_row_at([1.0] * len(rows), draws[0][0])]
    closest = _distances(rows, rows[chosen[0]])
    for line in draws[1:]:
        candidates = [_row_at(closest, draw) for draw in line]
        left = [list(map(min, _distances(rows, rows[at]), closest)) for at in candidates]
        totals = [_total(one) for one in left]
        best = totals.index(min(totals))
        chosen.append(candidates[best])
        closest = left[best]
    return chosen


def _row_at(mass: Line, draw: float) -> int:
    reached = list(accumulate(mass))
    return min(bisect_right(reached, draw * reached[-1]), bisect_left(reached, reached[-1]))


def _lloyd(rows: Lines, centres: Lines, max_iter: int, tolerance: float) -> PlainClustering:
    before: list[int] | None = None
    for n_iter in range(1, max_iter + 1):
        labels, closest = _nearest(rows, centres)
        if labels == before:
            return PlainClustering(labels, centres, _total(closest), n_iter)
        before = _filled_clusters(labels, closest, len(centres))
        moved = _means(rows, before, centres)
        shift = _total(
            [
                (new - old) * (new - old)
                for centre, last in zip(moved, centres, strict=True)
                for new, old in zip(centre, last, strict=True)
            ]
        )
        centres = moved
        if shift <= tolerance:
            break
    labels, closest = _nearest(rows, centres)
    return PlainClustering(labels, centres, _total(closest), n_iter)


def _distances(rows: Lines, centre: Line) -> Line:
    distances = []
    for row in rows:
        distance = 0.0
        for value, coordinate in zip(row, centre, strict=True):
            difference = value - coordinate
            distance += difference * difference
        distances.append(distance)
    return distances


def _nearest(rows: Lines, centres: Lines) -> tuple[list[int], Line]:
    per_row = list(zip(*(_distances(rows, centre) for centre in centres), strict=True))
    closest = [min(distances) for distances in per_row]
    labels = [one.index(least) for one, least in zip(per_row, closest, strict=True)]
    return labels, closest


def _means(rows: Lines, labels: list[int], centres: Lines) -> Lines:
    sums, counts = [[0.0] * len(rows[0]) for _ in centres], [0] * len(centres)
    for row, label in zip(rows, labels, strict=True):
        counts[label] += 1
        sums[label] = list(map(add, sums[label], row))
    return [
        [value / count for value in one] if count else centre
        for one, count, centre in zip(sums, counts, centres, strict=True)
    ]


def _filled_clusters(labels: list[int], closest: Line, n_clusters: int) -> list[int]:
    members = Counter(labels)
    empty = [label for label in range(n_clusters) if not members[label]]
    filled = labels.copy()
    for row in sorted(range(len(labels)), key=lambda at: -closest[at]):
        if not empty or closest[row] == 0.0:
            break
        if members[labels[row]] > 1:
            members[labels[row]] -= 1
            filled[row] = empty.pop(0)
    return filled


def _spread(rows: Lines) -> float:
    variances = []
    for column in zip(*rows, strict=True):
        mean = _total(list(column)) / len(rows)
        variances.append(_total([(value - mean) * (value - mean) for value in column]) / len(rows))
    return _total(variances) / len(variances)


def _total(values: Line) -> float:
    # Not sum(): since Python 3.12 it makes up for rounding, which nothing else here does.
    return reduce(add, values, 0.0)
