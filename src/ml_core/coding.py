"""Columns of numbers as codes: for each row the rank of the bin that its value lies in.

Growing a tree only ever asks which of two values is the larger, so it works on ranks, which are
small and quick to count. Exact columns have a bin for each distinct value. Others have bins of
about equally many rows (Ke et al. 2017, LightGBM, build histograms likewise), each with the
smallest and the largest value in it, so that thresholds lie between values that occur.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes import c_int32, c_int64, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.native import library, pointer
from ml_core.parallel import n_workers

# Tables of more bins than this are not searched for each value, which would miss the cache at
# every step: the column's order says all ranks in one go.
_MOST_SEARCHED = 1 << 12
# Fewer numbers than this are coded sooner than threads are started.
_WORTH_THREADS = 1 << 17

Values = NDArray[Any]
Codes = NDArray[np.unsignedinteger[Any]]


class Coded(NamedTuple):
    """A table as codes, with what the codes stand for.

    ``by_column`` (n_features, n_rows) and ``by_row`` (n_rows, n_features) hold the same codes. Bin
    b of column f holds the values from ``low[starts[f] + b]`` to ``high[starts[f] + b]``.
    """

    by_column: Codes
    by_row: Codes
    low: Values
    high: Values
    starts: NDArray[np.int64]


class _Bins(NamedTuple):
    """One column's bins, the places where they begin among the rows in order, and that order."""

    low: Values
    high: Values
    begin: NDArray[np.intp]
    order: NDArray[np.intp] | None


def coded(
    X: Values, max_bins: int | None, weights: NDArray[np.int64] | None, n_jobs: int | None
) -> Coded:
    """X, (n_rows, n_features), with at most ``max_bins`` bins a column; None for exact columns.

    ``weights`` say how many rows each row is where bins are filled. Costs O(n log n) a column and,
    beside the codes, memory for a few columns at a time.
    """
    bins = list(_of_columns(_bins, X, n_jobs, max_bins, weights))
    sizes = [one.low.size for one in bins]
    kind = np.min_scalar_type(max(sizes) - 1)
    by_column = np.empty((X.shape[1], X.shape[0]), dtype=kind)
    list(_of_columns(_write_codes, X, n_jobs, bins, by_column))
    low = np.concatenate([one.low for one in bins])
    exact = all(one.high is one.low for one in bins)
    high = low if exact else np.concatenate([one.high for one in bins])
    starts = np.cumsum([0, *sizes], dtype=np.int64)
    return Coded(by_column, np.ascontiguousarray(by_column.T), low, high, starts)


def _of_columns(task: Any, X: Values, n_jobs: int | None, *shared: Any) -> Iterator[Any]:
    """``task`` of X, each column's number and what is shared; on threads where that pays."""
    columns = range(X.shape[1])
    workers = min(n_workers(n_jobs), len(columns)) if X.size >= _WORTH_THREADS else 1
    if workers == 1:
        yield from (task(X, column, *shared) for column in columns)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(lambda column: task(X, column, *shared), columns)


def _bins(X: Values, column: int, max_bins: int | None, weights: NDArray[np.int64] | None) -> _Bins:
    order = None
    if weights is not None or max_bins is None or max_bins > _MOST_SEARCHED:
        order = X[:, column].argsort()
    # 0.0 makes a positive zero of a negative one, so that no threshold is -0.0.
    ordered = (np.sort(X[:, column]) if order is None else X[order, column]) + X.dtype.type(0.0)
    begin = np.append(0, np.flatnonzero(ordered[1:] != ordered[:-1]) + 1)
    if max_bins is None or begin.size <= max_bins:
        low = ordered[begin]
        return _Bins(low, low, begin, order)
    begin = _shared_out(ordered, max_bins, None if weights is None else weights[order])
    return _Bins(ordered[begin], ordered[np.append(begin[1:], len(X)) - 1], begin, order)


def _shared_out(
    ordered: Values, n_bins: int, weights: NDArray[np.int64] | None
) -> NDArray[np.intp]:
    """The places in order at which bins of about equally many rows begin."""
    cuts = np.append(ordered[0], ordered[_places(n_bins, len(ordered), weights)])
    # A value that would fill several bins lies in one, and ends it: so no more bins than asked for.
    filling = cuts[1:][cuts[1:] == cuts[:-1]]
    begins = np.zeros(len(ordered) + 1, dtype=np.bool_)
    begins[np.searchsorted(ordered, cuts, side="left")] = True
    begins[np.searchsorted(ordered, filling, side="right")] = True
    return np.flatnonzero(begins[:-1])


def _places(
    n_bins: int, n_rows: int, weights: NDArray[np.int64] | None
) -> NDArray[np.integer[Any]]:
    """The rows, of all in order, before which a share of k / n_bins lies, for k = 1, 2 ..."""
    total = n_rows if weights is None else int(weights.sum())
    k = np.arange(1, n_bins, dtype=np.int64)
    # floor(k total / n_bins) without the product, which may be too large.
    shares = k * (total // n_bins) + k * (total % n_bins) // n_bins
    if weights is None:
        return shares
    return np.searchsorted(weights.cumsum(), shares, side="right")


def _write_codes(X: Values, column: int, bins: list[_Bins], by_column: Codes) -> None:
    own, codes = bins[column], by_column[column]
    kernels = library()
    if own.low.size > _MOST_SEARCHED and own.order is not None:
        is_first = np.zeros(len(X), dtype=by_column.dtype)
        is_first[own.begin[1:]] = 1
        codes[own.order] = is_first.cumsum(dtype=by_column.dtype)
        bins[column] = own._replace(order=None)
    elif kernels is not None and own.low.size <= _MOST_SEARCHED:
        first = c_void_p(X.ctypes.data + column * X.strides[1])
        kernels.forest_encode(
            *(first, c_int64(X.strides[0]), c_int64(len(X)), c_int32(X.itemsize)),
            *(pointer(own.low), c_int64(own.low.size), c_int32(codes.itemsize), pointer(codes)),
        )
    else:
        codes[:] = np.searchsorted(own.low, X[:, column], side="right") - 1
