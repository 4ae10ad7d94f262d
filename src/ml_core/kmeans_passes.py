"""The passes over the rows that K-Means is made of, and their reference form."""

from types import TracebackType
from typing import NamedTuple, Protocol, Self

import numpy as np

from ml_core import kmeans_reference as reference
from ml_core.kmeans_reference import Floats, Labels, Rows
from ml_core.seeding import ChosenRows, seed_rows


class Assignment(NamedTuple):
    """What one iteration learns of the rows.

    ``labels`` (n_rows,) name the nearest centres, ``inertia`` is the weighted sum of squared
    distances to them. ``sums`` (n_clusters, n_features) and ``totals`` (n_clusters,) are the
    clusters' weighted sums of rows and weights, or empty if they were not asked for.
    """

    labels: Labels
    has_changed: bool
    inertia: float
    sums: Floats
    totals: Floats


class Passes(Protocol):
    """Rows with their weights, and all that needs a pass over them; every form gives the same bits.

    It is a context: leaving it ends its threads.
    """

    weights: Floats

    def spread(self) -> float:
        """As `kmeans_reference.spread`."""

    def seed_rows(self, draws: Floats) -> ChosenRows:
        """As `seeding.seed_rows`."""

    def assign(self, centres: Rows, before: Labels | None, *, with_sums: bool = True) -> Assignment:
        """Find the nearest centres; ``before``, which may be overwritten, are the labels so far."""

    def nearest(self, centres: Rows) -> tuple[Labels, Floats]:
        """As `kmeans_reference.nearest`."""

    def cluster_sums(self, labels: Labels, n_clusters: int) -> tuple[Floats, Floats]:
        """As `kmeans_reference.cluster_sums`."""

    def squared_distances(self, centres: Rows) -> Floats:
        """From each row to each centre, (n_rows, n_centres)."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ReferencePasses:
    """`Passes` by the definition itself."""

    def __init__(self, X: Rows, weights: Floats) -> None:
        self.weights = weights
        self._X = X

    def spread(self) -> float:
        return reference.spread(self._X)

    def seed_rows(self, draws: Floats) -> ChosenRows:
        return seed_rows(self._X, self.weights, draws)

    def assign(self, centres: Rows, before: Labels | None, *, with_sums: bool = True) -> Assignment:
        labels, closest = self.nearest(centres)
        has_changed = before is None or not np.array_equal(labels, before)
        inertia = reference.total(self.weights * closest)
        if not with_sums:
            return Assignment(labels, has_changed, inertia, np.empty((0, 0)), np.empty(0))
        sums, totals = self.cluster_sums(labels, len(centres))
        return Assignment(labels, has_changed, inertia, sums, totals)

    def nearest(self, centres: Rows) -> tuple[Labels, Floats]:
        return reference.nearest(self._X, centres)

    def cluster_sums(self, labels: Labels, n_clusters: int) -> tuple[Floats, Floats]:
        return reference.cluster_sums(self._X, self.weights, labels, n_clusters)

    def squared_distances(self, centres: Rows) -> Floats:
        return np.ascontiguousarray(reference.squared_distances(self._X, centres).T)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass
