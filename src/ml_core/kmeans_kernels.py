"""Which form of the passes does the work: the compiled one where there is one."""

from ml_core.kmeans_native import NativePasses
from ml_core.kmeans_passes import Passes, ReferencePasses
from ml_core.kmeans_reference import Floats, Rows
from ml_core.native import library
from ml_core.parallel import n_workers


def passes_over(X: Rows, weights: Floats, n_jobs: int | None) -> Passes:
    """The passes over rows of float32 or float64, on ``n_jobs`` threads (see `n_workers`)."""
    kernels = library()
    if kernels is None:
        return ReferencePasses(X, weights)
    return NativePasses(kernels, X, weights, n_workers(n_jobs))
