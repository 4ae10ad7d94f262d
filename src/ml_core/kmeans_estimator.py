"""The class `KMeans`."""

import warnings
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.base import Estimator
from ml_core.conventions import ConvergenceWarning, as_theirs, as_they_want, clusterer_tags
from ml_core.kmeans_kernels import passes_over
from ml_core.kmeans_passes import Passes
from ml_core.kmeans_reference import Floats, Rows
from ml_core.kmeans_saved import restored_clustering
from ml_core.kmeans_shared import check_spread, seeding_draws
from ml_core.lloyd import Clustering, lloyd
from ml_core.seeding import random_rows
from ml_core.validation import (
    check_finite,
    check_integer,
    check_number,
    check_weights,
    check_X,
    feature_names,
    is_integer,
)
from ml_core.weights import at_most_one, inertia_times

_AUTO, _GREEDY, _RANDOM = "auto", "k-means++", "random"
_RANDOM_BEGINNINGS = 10


class KMeans(Estimator):
    """Clusters of rows around their means, found by Lloyd's iteration from k-means++ centres.

    Parameters
    ----------
    n_clusters : int
        Clusters to form and centres to find; at least 1 and at most the number of rows.
    init : "k-means++", "random" or (n_clusters, n_features) array
        How to begin: with rows drawn far from one another (greedy k-means++), with different rows
        drawn by weight, or with these centres.
    n_init : "auto" or int
        Beginnings to try; the result with the least inertia is kept. "auto" is 10 for "random",
        otherwise 1. Given centres are tried once.
    max_iter : int
        Iterations at most for one beginning.
    max_iters : int or None
        The same; where it is given it is taken instead of ``max_iter``.
    tol : float
        Stop as soon as the squared moves of all centres add up to no more than ``tol`` times the
        mean variance of the columns. With 0 it goes on until no label changes.
    random_state : int or None
        Seed of the beginnings: the same seed and rows give the same clusters, bit for bit.
    n_jobs : int or None
        Threads: -1 as many as processors, -2 one less and so on; None is 1. No result depends on
        their number.

    Attributes
    ----------
    cluster_centers_ : (n_clusters, n_features) float32 or float64, as X
        The centres, in the units of the columns; also ``centroids``.
    labels_ : (n_rows,) int32
        The nearest centre of each row in `fit`; also ``labels``.
    inertia_ : float
        Sum over rows of weight times squared distance to the nearest centre; also ``inertia``.
        Computed in float64 for float32 rows too.
    n_iter_ : int
        Iterations that the kept result took.
    n_features_in_ : int
        Columns of X in `fit`.
    feature_names_in_ : (n_features,) array of str
        Their names, if X had names.

    Notes
    -----
    ``labels``, ``centroids`` and ``inertia`` are None before `fit`. Each iteration costs
    O(n_rows x n_clusters x n_features), seeding as much times 2 + ln(n_clusters). Inertia never
    grows from one iteration to the next, but ends in a local minimum: raise ``n_init`` to look for
    a better one. A cluster that loses all rows is given the row farthest from its centre. Columns
    of large numbers count more than others: scale them first.

    References
    ----------
    Lloyd (1982), Least Squares Quantization in PCM, IEEE Transactions on Information Theory 28:
    the iteration (his method I). Arthur and Vassilvitskii (2007), k-means++: The Advantages of
    Careful Seeding, SODA, 1027-1035: the seeding (section 2.2) and its greedy form, which
    Bhattacharya, Eube, Röglin and Schmidt (2020), Noisy, Greedy and Not so Greedy k-Means++,
    ESA (LIPIcs 173, 18:1-18:21), analyse.

    Examples
    --------
    >>> model = KMeans(2, random_state=0).fit([[1.0], [2.0], [8.0], [9.0]])
    >>> sorted(model.cluster_centers_.ravel().tolist()), model.inertia_
    ([1.5, 8.5], 1.0)
    """

    cluster_centers_: NDArray[Any]
    labels_: NDArray[np.int32]
    inertia_: float
    n_iter_: int
    n_features_in_: int

    # Names that scikit-learn looks for where transform is to give data frames.
    _sklearn_auto_wrap_output_keys = frozenset({"transform"})
    _sklearn_output_config: dict[str, str]

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike = _GREEDY,
        n_init: str | int = _AUTO,
        max_iter: int = 300,
        max_iters: int | None = None,
        tol: float = 1e-4,
        random_state: int | None = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.max_iters = max_iters
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def labels(self) -> NDArray[np.int32] | None:
        return getattr(self, "labels_", None)

    @property
    def centroids(self) -> NDArray[Any] | None:
        return getattr(self, "cluster_centers_", None)

    @property
    def inertia(self) -> float | None:
        return getattr(self, "inertia_", None)

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find the clusters.

        Parameters
        ----------
        X : (n_rows, n_features) array of finite numbers
            float32 stays float32, anything else becomes float64.
        y : ignored
        sample_weight : (n_rows,) array of numbers of at least 0, a number, or None
            How much each row counts; None counts each once.

        Raises
        ------
        ValueError
            If a parameter, X or sample_weight is not as described.
        """
        names = feature_names(X)
        rows = check_X(X, keep_float32=True)
        self.check_params()
        if len(rows) < self.n_clusters:
            raise ValueError(f"n_samples={len(rows)} should be >= n_clusters={self.n_clusters}.")
        weights, exponent = at_most_one(check_weights(sample_weight, len(rows)))
        best = self._best_of_beginnings(rows, weights)
        best = best._replace(inertia=inertia_times(best.inertia, exponent))
        self._warn_of_missing_clusters(best)
        self._learn(best)
        self._learn_names(names)
        return self

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int32]:
        """`fit`, then ``labels_``."""
        return self.fit(X, sample_weight=sample_weight).labels_

    def fit_transform(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Any:
        """`fit`, then `transform` of the same rows."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """The nearest centre of each row, (n_rows,); of equally near ones the first.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has NaN, infinity or other columns than `fit` saw.
        """
        rows = self._rows_as_in_fit(X)
        with passes_over(rows, np.ones(len(rows)), self.n_jobs) as passes:
            return passes.nearest(self.cluster_centers_)[0]

    def transform(self, X: ArrayLike) -> Any:
        """The distance of each row to each centre, (n_rows, n_clusters), in X's type and unit.

        An array, or the data frame that `set_output` asked for.
        """
        rows = self._rows_as_in_fit(X)
        with passes_over(rows, np.ones(len(rows)), self.n_jobs) as passes:
            distances = passes.squared_distances(self.cluster_centers_)
        found = np.sqrt(distances, out=distances).astype(rows.dtype, copy=False)
        return as_they_want(found, X, self)

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` gives where scikit-learn is loaded: "default", "pandas" or "polars".

        None changes nothing. A pipeline calls it for each of its steps.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def score(
        self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Minus the inertia of these rows: greater is better, as scikit-learn wants it."""
        rows = self._rows_as_in_fit(X)
        weights, exponent = at_most_one(check_weights(sample_weight, len(rows)))
        with passes_over(rows, weights, self.n_jobs) as passes:
            found = passes.assign(self.cluster_centers_, None, with_sums=False)
        return -inertia_times(found.inertia, exponent)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """The names of `transform`'s columns: kmeans0, kmeans1 and so on."""
        self._check_is_fitted()
        names = [f"kmeans{label}" for label in range(len(self.cluster_centers_))]
        return np.array(names, dtype=object)

    def to_onnx(self) -> bytes:
        """The model for other runtimes, in the ONNX format: write it to a file as it is.

        Its input ``X`` is (n_rows, n_features) of the centres' type. Its outputs are ``label``,
        (n_rows,) int64, and ``distances``, (n_rows, n_clusters), as of `predict` and `transform`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        from ml_core.onnx import kmeans_to_onnx  # noqa: PLC0415 - few ask for it, all would load it

        self._check_is_fitted()
        names = getattr(self, "feature_names_in_", None)
        return kmeans_to_onnx(self.cluster_centers_, feature_names=names)

    def check_params(self) -> None:
        check_integer("n_clusters", self.n_clusters, 1)
        if self.n_init != _AUTO:
            check_integer("n_init", self.n_init, 1)
        check_integer("max_iter", self.max_iter, 1)
        check_integer("max_iters", self.max_iters, 1, optional=True)
        check_number("tol", self.tol, 0.0)
        check_integer("random_state", self.random_state, 0, optional=True)
        if self.n_jobs is not None and (not is_integer(self.n_jobs) or self.n_jobs == 0):
            raise ValueError(f"n_jobs must be an integer other than 0 or None, got {self.n_jobs!r}")
        if isinstance(self.init, str) and self.init not in (_GREEDY, _RANDOM):
            raise ValueError(
                f"init must be {_GREEDY!r}, {_RANDOM!r} or an array of centres, got {self.init!r}"
            )

    def __sklearn_tags__(self) -> Any:
        return clusterer_tags()

    def _best_of_beginnings(self, rows: Rows, weights: Floats) -> Clustering:
        max_iter = int(self.max_iter if self.max_iters is None else self.max_iters)
        with passes_over(rows, weights, self.n_jobs) as passes:
            with np.errstate(over="ignore", invalid="ignore"):
                tolerance = float(self.tol) * check_spread(passes.spread(), *rows.shape)
            best: Clustering | None = None
            for centres in self._beginnings(rows, passes):
                found = lloyd(passes, centres, max_iter, tolerance)
                if best is None or found.inertia < best.inertia:
                    best = found
        assert best is not None
        return best

    def _beginnings(self, rows: Rows, passes: Passes) -> Iterator[Rows]:
        if not isinstance(self.init, str):
            yield self._given_centres(rows)
            return
        rng = Random(None if self.random_state is None else int(self.random_state))
        is_random = self.init == _RANDOM
        automatic = _RANDOM_BEGINNINGS if is_random else 1
        n_init = automatic if isinstance(self.n_init, str) else int(self.n_init)
        for _ in range(n_init):
            draws = np.array(seeding_draws(rng, int(self.n_clusters)))
            if is_random:
                yield rows[random_rows(passes.weights, draws[:, 0])]
            else:
                yield rows[passes.seed_rows(draws)]

    def _given_centres(self, rows: Rows) -> Rows:
        with np.errstate(over="ignore"):
            centres = check_X(self.init).astype(rows.dtype)
        check_finite(centres, "init")
        if len(centres) != self.n_clusters:
            raise ValueError(
                f"The shape of the initial centers {centres.shape} does not match the number of "
                f"clusters {self.n_clusters}."
            )
        if centres.shape[1] != rows.shape[1]:
            raise ValueError(
                f"The shape of the initial centers {centres.shape} does not match the number of "
                f"features of the data {rows.shape[1]}."
            )
        return centres

    def _warn_of_missing_clusters(self, found: Clustering) -> None:
        n_distinct = np.count_nonzero(np.bincount(found.labels, minlength=1))
        if n_distinct < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({n_distinct}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                as_theirs(ConvergenceWarning),
                stacklevel=3,
            )

    def _learn(self, found: Clustering) -> None:
        self.cluster_centers_ = found.centres
        self.labels_ = found.labels
        self.inertia_ = found.inertia
        self.n_iter_ = found.n_iter
        self.n_features_in_ = found.centres.shape[1]

    def _rows_as_in_fit(self, X: ArrayLike) -> NDArray[Any]:
        return self._checked_as_in_fit(X, keep_float32=True)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        self._check_is_fitted()
        self.check_params()
        if len(self.cluster_centers_) != self.n_clusters:
            raise ValueError(
                f"the parameters ask for {self.n_clusters} clusters, but "
                f"{len(self.cluster_centers_)} were found: fit the model again before it is saved"
            )
        facts: dict[str, Any] = {
            "dtype": self.cluster_centers_.dtype.name,
            "inertia": self.inertia_,
            "n_iter": self.n_iter_,
        }
        return facts, {"centres": self.cluster_centers_, "labels": self.labels_}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.check_params()
        self._learn(restored_clustering(facts, arrays, int(self.n_clusters)))


def clustering_of_columns(
    columns: Mapping[str, list[float]], n_clusters: int, max_iter: int, random_state: int
) -> tuple[list[int], list[list[float]], float, int]:
    """Labels, centres, inertia and iterations for a table, as `kmeans_plain` gives them."""
    model = KMeans(n_clusters, max_iter=max_iter, random_state=random_state)
    with warnings.catch_warnings():
        # The command shows which clusters have no rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.array(list(columns.values())).T)
    return model.labels_.tolist(), model.cluster_centers_.tolist(), model.inertia_, model.n_iter_
