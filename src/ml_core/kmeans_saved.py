"""What a file says of a K-Means model, checked before it is believed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.lloyd import Clustering


def restored_clustering(
    facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], n_clusters: int
) -> Clustering:
    """The clustering that was saved.

    Raises
    ------
    ValueError
        If it could not have been found by a fit.
    """
    centres, labels = _centres(facts.get("dtype"), arrays["centres"]), arrays["labels"]
    if len(centres) != n_clusters:
        raise ValueError("the model does not hold as many centres as its parameters say")
    if labels.ndim != 1 or len(labels) < n_clusters:
        raise ValueError("the model's labels are not a line with a label for each row")
    if (labels < 0).any() or (labels >= n_clusters).any():
        raise ValueError("the model's labels are not those of its centres")
    inertia, n_iter = facts.get("inertia"), facts.get("n_iter")
    if not isinstance(inertia, float) or not 0.0 <= inertia < np.inf:
        raise ValueError("the model's inertia is not a number of at least 0")
    if type(n_iter) is not int or n_iter < 1:
        raise ValueError("the model's n_iter is not a number of at least 1")
    return Clustering(labels, centres, inertia, n_iter)


def _centres(dtype: object, saved: NDArray[Any]) -> NDArray[Any]:
    if dtype not in ("float32", "float64"):
        raise ValueError("the model's dtype is neither float32 nor float64")
    if saved.ndim != 2 or not saved.size or not np.isfinite(saved).all():
        raise ValueError("the model's centres are not lines of finite numbers")
    centres = saved.astype(str(dtype))
    if not np.array_equal(centres, saved):
        raise ValueError("the model's centres are not of their type")
    return centres
