"""Greedy k-means++: initial centres that are far from one another."""

import numpy as np
from numpy.typing import NDArray

from ml_core.kmeans_reference import Floats, Rows, rows_at, squared_distances, total


def seed_rows(X: Rows, weights: Floats, draws: Floats) -> NDArray[np.intp]:
    """The rows that become the first centres, one for each line of ``draws``.

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
