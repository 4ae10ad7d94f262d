"""The arithmetic of K-Means in plain NumPy: the definition that every faster form must meet.

Each number below is made by additions, subtractions, multiplications and divisions of float64 in an
order that is written down, so that it has the same bits on every processor, in C and in Python.
That is why there is no matrix product and no ``sum`` here: their order is the machine's choice.
Rows are added one after the other within a block of `BLOCK` rows, then the blocks in turn, so that
threads can take blocks and still come to the same result.

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

BLOCK = 2048


def squared_distances(X: Rows, centres: Rows) -> Floats:
    """From each centre to each row, (n_centres, n_rows), in squares of X's unit.

    Differences are squared as they are. The expansion ``x.x - 2 x.c + c.c`` needs fewer operations,
    but loses all digits where a row is close to a centre and both are far from 0.
    """
    distances = np.empty((len(centres), len(X)))
    for rows in _blocks(len(X)):
        distances[:, rows] = _of_block(X[rows], centres)
    return distances


def nearest(X: Rows, centres: Rows) -> tuple[Labels, Floats]:
    """The centre nearest to each row, and its squared distance, both (n_rows,).

    Of equally near centres the first wins. Costs O(n_rows x n_centres x n_features).
    """
    labels = np.empty(len(X), dtype=np.int32)
    closest = np.empty(len(X))
    for rows in _blocks(len(X)):
        distances = _of_block(X[rows], centres)
        labels[rows] = distances.argmin(axis=0)
        closest[rows] = distances.min(axis=0)
    return labels, closest


def cluster_sums(
    X: Rows, weights: Floats, labels: Labels, n_clusters: int
) -> tuple[Floats, Floats]:
    """Each cluster's weighted sum of rows, (n_clusters, n_features), and weight, (n_clusters,)."""
    n_features = X.shape[1]
    sums, totals = np.zeros(n_clusters * n_features), np.zeros(n_clusters)
    for rows in _blocks(len(X)):
        # bincount adds in the order of its entries: here row by row.
        cells = labels[rows, None].astype(np.intp) * n_features + np.arange(n_features)
        weighted = weights[rows, None] * X[rows]
        sums += np.bincount(cells.ravel(), weighted.ravel(), minlength=sums.size)
        totals += np.bincount(labels[rows], weights[rows], minlength=n_clusters)
    return sums.reshape(n_clusters, n_features), totals


def total(values: Floats) -> float:
    """The sum of (n_rows,) values."""
    of_blocks = np.bincount(np.arange(values.size) // BLOCK, values)
    return float(of_blocks.cumsum()[-1])


def rows_at(mass: Floats, draws: Floats) -> NDArray[np.intp]:
    """For each draw from [0, 1) the row that holds this share of the mass: P(row) ~ mass[row].

    ``mass`` is (n_rows,) and at least 0. A row without mass is only answered if no row has any:
    then it is the first.
    """
    reached = mass.cumsum()
    last = np.searchsorted(reached, reached[-1])
    # Of a mass near the smallest float, a share may round to all: no row reaches beyond that.
    found = np.searchsorted(reached, draws * reached[-1], side="right")
    rows: NDArray[np.intp] = np.minimum(found, last)
    return rows


def _of_block(X: Rows, centres: Rows) -> Floats:
    distances = np.zeros((len(centres), len(X)))
    for column, coordinates in zip(X.T, centres.T.astype(np.float64), strict=True):
        difference = column - coordinates[:, None]
        difference *= difference
        distances += difference
    return distances


def _blocks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, BLOCK):
        yield slice(start, start + BLOCK)
