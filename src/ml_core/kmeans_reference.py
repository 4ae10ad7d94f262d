"""The arithmetic of K-Means in plain NumPy: the definition that every faster form must meet.

Each number below is made by additions, subtractions, multiplications and divisions of float64 in an
order that is written down, so that it has the same bits on every processor, in C and in Python.
That is why there is no matrix product and no ``sum`` here: their order is the machine's choice.
Rows are added one after the other within a *part*, then the parts in turn (`part_slices`), so that
threads can take parts and still come to the same result.

Labels are whole numbers: a form that finds them in another way, say by bounds or by products, meets
the definition if it decides close calls by these distances.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int32]
# float32 or float64, (n_rows, n_features).
Rows = NDArray[Any]

# Enough parts for many threads, and so few that their sums need little memory.
MOST_PARTS = 64
LEAST_PART = 2048
# Rows whose distances are held at once; has no bearing on any result.
_CHUNK = 2048


def part_size(n_rows: int) -> int:
    """Rows of each part but the last, which may have fewer."""
    return max(LEAST_PART, -(-n_rows // MOST_PARTS))


def part_slices(n_rows: int) -> Iterator[slice]:
    return _slices(n_rows, part_size(n_rows))


def slice_of(part: int, n_rows: int) -> slice:
    start = part * part_size(n_rows)
    return slice(start, min(start + part_size(n_rows), n_rows))


def squared_distances(X: Rows, centres: Rows) -> Floats:
    """From each centre to each row, (n_centres, n_rows), in squares of X's unit.

    Differences are squared as they are. The expansion ``x.x - 2 x.c + c.c`` needs fewer operations,
    but loses all digits where a row is close to a centre and both are far from 0.
    """
    distances = np.empty((len(centres), len(X)))
    for rows in _slices(len(X), _CHUNK):
        distances[:, rows] = _of_chunk(X[rows], centres)
    return distances


def nearest(X: Rows, centres: Rows) -> tuple[Labels, Floats]:
    """The centre nearest to each row, and its squared distance, both (n_rows,).

    Of equally near centres the first wins. Costs O(n_rows x n_centres x n_features).
    """
    labels = np.empty(len(X), dtype=np.int32)
    closest = np.empty(len(X))
    for rows in _slices(len(X), _CHUNK):
        distances = _of_chunk(X[rows], centres)
        labels[rows] = distances.argmin(axis=0)
        closest[rows] = distances.min(axis=0)
    return labels, closest


def cluster_sums(
    X: Rows, weights: Floats, labels: Labels, n_clusters: int
) -> tuple[Floats, Floats]:
    """Each cluster's weighted sum of rows, (n_clusters, n_features), and weight, (n_clusters,)."""
    n_features = X.shape[1]
    sums, totals = np.zeros(n_clusters * n_features), np.zeros(n_clusters)
    for rows in part_slices(len(X)):
        # bincount adds in the order of its entries: here row by row.
        cells = labels[rows, None].astype(np.intp) * n_features + np.arange(n_features)
        weighted = weights[rows, None] * X[rows]
        sums += np.bincount(cells.ravel(), weighted.ravel(), minlength=sums.size)
        totals += np.bincount(labels[rows], weights[rows], minlength=n_clusters)
    return sums.reshape(n_clusters, n_features), totals


def part_totals(values: Floats) -> Floats:
    """The sum of each part of (n_rows,) values."""
    return np.array([values[rows].cumsum()[-1] for rows in part_slices(values.size)])


def total(values: Floats) -> float:
    """The sum of (n_rows,) values."""
    return float(part_totals(values).cumsum()[-1])


def spread(X: Rows) -> float:
    """The mean over columns of their variance, in squares of X's unit."""
    variances = [_variance(column.astype(np.float64)) for column in X.T]
    return float(np.cumsum(variances)[-1]) / len(variances)


def _variance(column: Floats) -> float:
    from_mean = column - total(column) / column.size
    return total(from_mean * from_mean) / column.size


def _of_chunk(X: Rows, centres: Rows) -> Floats:
    distances = np.zeros((len(centres), len(X)))
    for column, coordinates in zip(X.T, centres.T.astype(np.float64), strict=True):
        difference = column - coordinates[:, None]
        difference *= difference
        distances += difference
    return distances


def _slices(n_rows: int, size: int) -> Iterator[slice]:
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
