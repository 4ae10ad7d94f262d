"""Lloyd's iteration: rows go to the nearest centre, centres to the mean of their rows."""

from typing import NamedTuple

import numpy as np

from ml_core.kmeans_reference import Floats, Labels, Rows, cluster_sums, nearest, total


class Clustering(NamedTuple):
    """``labels`` (n_rows,) name the nearest of ``centres`` (n_clusters, n_features).

    ``inertia`` is the weighted sum of squared distances to them, ``n_iter`` the means taken.
    """

    labels: Labels
    centres: Rows
    inertia: float
    n_iter: int


def lloyd(X: Rows, weights: Floats, centres: Rows, max_iter: int, tolerance: float) -> Clustering:
    """Iterate until no label changes, or all centres together move by no more than ``tolerance``.

    ``tolerance`` is the sum of the centres' squared moves, in squares of X's unit. Inertia never
    grows from one iteration to the next. Each costs O(n_rows x n_clusters x n_features).
    """
    before: Labels | None = None
    for n_iter in range(1, max_iter + 1):
        labels, closest = nearest(X, centres)
        if before is not None and np.array_equal(labels, before):
            # The centres are already the means of these rows.
            return Clustering(labels, centres, total(weights * closest), n_iter)
        before = filled_clusters(labels, closest, weights, len(centres))
        moved = means(X, weights, before, centres)
        shift = ((moved.astype(np.float64) - centres) ** 2).cumsum()[-1]
        centres = moved
        if shift <= tolerance:
            break
    labels, closest = nearest(X, centres)
    return Clustering(labels, centres, total(weights * closest), n_iter)


def means(X: Rows, weights: Floats, labels: Labels, centres: Rows) -> Rows:
    """The mean row of each cluster, in X's type; the old centre where a cluster has no weight."""
    sums, totals = cluster_sums(X, weights, labels, len(centres))
    empty = totals == 0
    totals[empty] = 1.0
    return np.where(empty[:, None], centres, sums / totals[:, None]).astype(X.dtype)


def filled_clusters(labels: Labels, closest: Floats, weights: Floats, n_clusters: int) -> Labels:
    """The labels, with a row moved into each cluster that has none.

    Such a cluster gets the row that is farthest from its centre and not the last of its own
    cluster, which lowers inertia most. Rows without weight neither fill nor move. Clusters stay
    empty if all other rows lie on their centres: then there are more clusters than distinct rows.
    """
    members = np.bincount(labels[weights > 0], minlength=n_clusters)
    empty = np.flatnonzero(members == 0).tolist()
    if not empty:
        return labels
    filled = labels.copy()
    for row in np.argsort(-closest, kind="stable"):
        if not empty or closest[row] == 0:
            break
        if weights[row] > 0 and members[labels[row]] > 1:
            members[labels[row]] -= 1
            filled[row] = empty.pop(0)
    return filled


def spread(X: Rows) -> float:
    """The mean over columns of their variance, in squares of X's unit."""
    variances = [_variance(column.astype(np.float64)) for column in X.T]
    return float(np.cumsum(variances)[-1]) / len(variances)


def _variance(column: Floats) -> float:
    from_mean = column - total(column) / column.size
    return total(from_mean * from_mean) / column.size
