"""Lloyd's iteration: rows go to the nearest centre, centres to the mean of their rows."""

from typing import NamedTuple

import numpy as np

from ml_core.kmeans_passes import Passes
from ml_core.kmeans_reference import Floats, Labels, Rows


class Clustering(NamedTuple):
    """``labels`` (n_rows,) name the nearest of ``centres`` (n_clusters, n_features).

    ``inertia`` is the weighted sum of squared distances to them, ``n_iter`` the means taken.
    """

    labels: Labels
    centres: Rows
    inertia: float
    n_iter: int


def lloyd(passes: Passes, centres: Rows, max_iter: int, tolerance: float) -> Clustering:
    """Iterate until no label changes, or all centres together move by no more than ``tolerance``.

    ``tolerance`` is the sum of the centres' squared moves, in squares of the rows' unit. Inertia
    never grows from one iteration to the next. Each costs O(n_rows x n_clusters x n_features).
    """
    labels: Labels | None = None
    for n_iter in range(1, max_iter + 1):
        found = passes.assign(centres, labels)
        if not found.has_changed:
            # The centres are already the means of these rows.
            return Clustering(found.labels, centres, found.inertia, n_iter)
        labels, sums, totals = found.labels, found.sums, found.totals
        if not totals.all():
            closest = passes.nearest(centres)[1]
            labels = filled_clusters(labels, closest, passes.weights, len(centres))
            sums, totals = passes.cluster_sums(labels, len(centres))
        moved = means(sums, totals, centres)
        shift = ((moved.astype(np.float64) - centres) ** 2).cumsum()[-1]
        centres = moved
        if shift <= tolerance:
            break
    last = passes.assign(centres, labels)
    return Clustering(last.labels, centres, last.inertia, n_iter)


def means(sums: Floats, totals: Floats, centres: Rows) -> Rows:
    """The mean row of each cluster, in the centres' type; the old centre where there is no weight.

    ``sums`` are weighted, (n_clusters, n_features), ``totals`` the weights, (n_clusters,).
    """
    empty = totals == 0
    found = sums / np.where(empty, 1.0, totals)[:, None]
    return np.where(empty[:, None], centres, found).astype(centres.dtype)


def filled_clusters(labels: Labels, closest: Floats, weights: Floats, n_clusters: int) -> Labels:
    """The labels, with a row moved into each cluster that has none.

    Such a cluster gets the row that is farthest from its centre and not the last of its own
    cluster, which lowers inertia most. Rows without weight neither fill nor move. Clusters stay
    empty if all other rows lie on their centres: then there are more clusters than distinct rows.
    """
    members = np.bincount(labels[weights > 0], minlength=n_clusters)
    empty = np.flatnonzero(members == 0).tolist()
    filled = labels.copy()
    for row in np.argsort(-closest, kind="stable"):
        if not empty or closest[row] == 0:
            break
        if weights[row] > 0 and members[labels[row]] > 1:
            members[labels[row]] -= 1
            filled[row] = empty.pop(0)
    return filled
