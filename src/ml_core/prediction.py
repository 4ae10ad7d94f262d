"""Rows walked down the trees of a forest: the leaf of each, and the mean of what the leaves say.

The NumPy functions whose names begin with ``reference`` are the definition; the compiled kernel
(native/prediction.c) gives the same bits. All trust the forest that they are given: `Forest.check`
is what makes one safe to walk.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.native import library
from ml_core.parallel import n_workers

# Row-and-tree pairs the reference walks at once: large enough to hide NumPy's cost per call, small
# enough that the working arrays stay in the processor's second-level cache.
_PAIRS_AT_ONCE = 1 << 15

# Pairs worth a thread: some 2 ms of work, beside the tenths that starting the threads takes.
_PAIRS_PER_THREAD = 1 << 16

_DOUBLE = np.dtype(np.float64)

Nodes = NDArray[np.void]
Kernel = Callable[..., None]


def leaf_lines(nodes: Nodes, roots: NDArray[np.int32], X: NDArray[Any]) -> NDArray[np.int32]:
    """The line of shares that each row ends at, for each tree.

    Parameters
    ----------
    nodes : (n_nodes,) structured array
        As in `Forest`: a row goes to node ``left`` if its ``feature`` is at most ``threshold``,
        compared in the wider of the two types, otherwise to the node behind it. In a leaf
        ``feature`` is below 0 and ``left`` the line.
    roots : (n_trees,) int32
        The node at which each tree begins.
    X : (n_rows, n_features) float32 or float64

    Returns
    -------
    (n_rows, n_trees) int32

    Notes
    -----
    Costs O(rows x trees x depth).
    """
    kernels = _kernels()
    if kernels is None:
        return reference_leaf_lines(nodes, roots, X)
    rows = np.require(X, requirements=("C", "A"))
    lines = np.empty((len(rows), roots.size), np.int32)
    kernels[0](*_walked(nodes, roots), *_rows(rows), lines.ctypes.data)
    return lines


def predict_proba(
    nodes: Nodes,
    roots: NDArray[np.int32],
    shares: NDArray[np.float64],
    X: NDArray[Any],
    *,
    hard: bool = False,
    n_jobs: int | None = None,
) -> NDArray[np.float64]:
    """The mean over trees of the class shares in the leaf of each row.

    Parameters
    ----------
    nodes, roots, X
        As in `leaf_lines`.
    shares : (n_lines, n_classes) float64
        What the leaves say; the first n_classes lines are those of leaves of one class.
    hard : bool
        Let each tree give one vote instead, to the first of its leaf's largest shares.
    n_jobs : int or None
        Threads at most: None is 1, -1 as many as processors. The result does not depend on it.

    Returns
    -------
    (n_rows, n_classes) float64
        Shares are added in the order of the trees, then divided once by their number.

    Notes
    -----
    Costs O(rows x trees x depth).
    """
    kernels = _kernels()
    if kernels is None:
        return reference_predict_proba(nodes, roots, shares, X, hard=hard)
    rows = np.require(X, requirements=("C", "A"))
    means = np.empty((len(rows), shares.shape[1]))
    forest = (*_walked(nodes, roots), shares.ctypes.data, shares.shape[1], hard)

    def predict(part: slice) -> None:
        kernels[1](*forest, *_rows(rows[part]), means[part].ctypes.data)

    _each_part(predict, len(rows), len(rows) * roots.size, n_jobs)
    return means


def reference_leaf_lines(
    nodes: Nodes, roots: NDArray[np.int32], X: NDArray[Any]
) -> NDArray[np.int32]:
    """`leaf_lines`: all pairs of row and tree go down together; those in a leaf drop out."""
    feature, threshold, left = (nodes[name] for name in ("feature", "threshold", "left"))
    node = np.tile(roots.astype(np.intp), len(X))
    row = np.repeat(np.arange(len(X)), roots.size)
    moving = np.flatnonzero(feature[node] >= 0)
    while moving.size:
        at = node[moving]
        goes_left = X[row[moving], feature[at]] <= threshold[at]
        below = left[at] + ~goes_left
        node[moving] = below
        moving = moving[feature[below] >= 0]
    lines: NDArray[np.int32] = left[node].reshape(len(X), roots.size)
    return lines


def reference_predict_proba(
    nodes: Nodes,
    roots: NDArray[np.int32],
    shares: NDArray[np.float64],
    X: NDArray[Any],
    *,
    hard: bool = False,
) -> NDArray[np.float64]:
    """`predict_proba`, some rows at a time."""
    answers = np.eye(shares.shape[1])[shares.argmax(axis=1)] if hard else shares
    total = np.zeros((len(X), shares.shape[1]))
    step = max(1, _PAIRS_AT_ONCE // roots.size)
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        for lines in reference_leaf_lines(nodes, roots, X[part]).T:
            total[part] += answers[lines]
    return total / roots.size


def _each_part(
    task: Callable[[slice], None], n_rows: int, n_pairs: int, n_jobs: int | None
) -> None:
    """Let threads do parts of the rows, if there is so much to do that it pays."""
    n_parts = min(n_workers(n_jobs), n_pairs // _PAIRS_PER_THREAD, n_rows)
    if n_parts <= 1:
        task(slice(0, n_rows))
        return
    ends = [n_rows * part // n_parts for part in range(n_parts + 1)]
    with ThreadPoolExecutor(n_parts) as pool:
        list(pool.map(task, map(slice, ends[:-1], ends[1:])))


def _walked(nodes: Nodes, roots: NDArray[np.int32]) -> tuple[int, bool, int, int]:
    assert nodes.flags.c_contiguous
    assert roots.flags.c_contiguous
    return nodes.ctypes.data, nodes.dtype["threshold"] == _DOUBLE, roots.ctypes.data, roots.size


def _rows(rows: NDArray[Any]) -> tuple[int, bool, int, int]:
    return rows.ctypes.data, rows.dtype == _DOUBLE, *rows.shape


@cache
def _kernels() -> tuple[Kernel, Kernel] | None:
    """The two kernels of the build in use."""
    found = library()
    return None if found is None else kernels_of(found)


def kernels_of(build: ctypes.CDLL) -> tuple[Kernel, Kernel]:
    """The kernels behind `leaf_lines` and `predict_proba`, told once what they take."""
    pointer: Any = ctypes.c_void_p
    flag, size = ctypes.c_int32, ctypes.c_int64
    forest, rows = [pointer, flag, pointer, size], [pointer, flag, size, size]
    # By index, which makes objects of our own, whole before another thread sees them.
    lines, means = build["prediction_lines"], build["prediction_means"]
    lines.argtypes = [*forest, *rows, pointer]
    means.argtypes = [*forest, pointer, size, flag, *rows, pointer]
    lines.restype = means.restype = None
    return lines, means
