"""Growing trees in C: what `growing.grow` defines, bit for bit, and much sooner."""

import ctypes
from collections.abc import Sequence
from ctypes import c_double, c_int32, c_int64, c_uint64, c_void_p
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.coding import Coded
from ml_core.growing import Grove, Rules, Weighing
from ml_core.native import holding, pointer
from ml_core.trees import NODE_OF

# A row's class and count have 16 bits each, its place 32, and sums of counts 32.
MOST_CLASSES = MOST_COUNTED = 2**16 - 1
MOST_ROWS = 2**32 - 1
_FEW_NODES = 10_000  # copied in some 10 µs

_POINTERS = (
    *("by_column", "by_row", "starts", "low", "high"),
    *("classes", "counts", "masses", "scales", "reached", "seeds"),
)
_SIZES = (
    *("n_trees", "n_draws", "n_rows", "n_features", "n_classes"),
    *("max_depth", "min_samples_split", "min_samples_leaf", "features_per_node"),
)
_SWITCHES = ("code_bytes", "value_bytes", "entropy", "keep_masses", "mass_is_count", "unused")


class _Task(ctypes.Structure):
    """Laid out as ForestTask in native/forest.h."""

    _fields_ = (
        *((name, c_void_p) for name in _POINTERS),
        ("position", c_uint64),
        ("min_weight_fraction_leaf", c_double),
        *((name, c_int64) for name in _SIZES),
        *((name, c_int32) for name in _SWITCHES),
    )


def can_grow(n_rows: int, n_classes: int) -> bool:
    """Whether rows and classes are few enough for C."""
    return n_classes <= MOST_CLASSES and n_rows <= MOST_ROWS


class Bootstrap(NamedTuple):
    """Rows are drawn anew for each tree, so many; by ``reached``, as in `draws.drawn_rows`."""

    n_draws: int
    reached: NDArray[np.int64] | None


def grow_in_c(
    kernels: ctypes.CDLL,
    data: Coded,
    classes: NDArray[np.uint16],
    weighing: Weighing,
    rules: Rules,
    seeds: Sequence[int],
    position: int,
    bootstrap: Bootstrap | None = None,
) -> Grove:
    """A tree for each seed, as `growing.grow` does; a bootstrap says what ``weighing`` repeats.

    Raises
    ------
    MemoryError
        Where there is not the memory for it.
    """
    n_draws, reached = bootstrap or Bootstrap(0, None)
    counts, masses, mass_is_count = _counts_and_masses(weighing)
    arrays = (data.by_column, data.by_row, data.starts, data.low, data.high, classes)
    of_trees = (counts, masses, weighing.scales, reached, np.array(seeds, dtype=np.uint64))
    task = _Task(
        *(_address(array) for array in (*arrays, *of_trees)),
        *(position, rules.min_weight_fraction_leaf, len(seeds), n_draws),
        *(data.by_row.shape[0], data.by_column.shape[0], weighing.n_classes),
        *(rules.max_depth, rules.min_samples_split, rules.min_samples_leaf),
        rules.features_per_node,
        *(data.by_column.itemsize, data.low.itemsize),
        *(rules.criterion.name == "entropy", rules.keep_masses, mass_is_count),
    )
    sizes = (c_int64 * 2)()
    trees = c_void_p(_planter(kernels)(ctypes.byref(task), sizes))
    if not trees:
        raise MemoryError("there is not enough memory to grow a tree")
    try:
        return _taken(kernels, trees, task, sizes[0], sizes[1], NODE_OF[data.low.dtype])
    finally:
        holding(kernels).forest_free(trees)


@cache
def _planter(kernels: ctypes.CDLL) -> Any:
    """`forest_plant`, told once what it gives.

    By index, which makes an object of our own: as an attribute threads that look it up at the same
    time could take the pointer for an int.
    """
    plant = kernels["forest_plant"]
    plant.restype = c_void_p
    return plant


def _taken(
    kernels: ctypes.CDLL,
    trees: c_void_p,
    task: _Task,
    n_nodes: int,
    n_lines: int,
    node: np.dtype[np.void],
) -> Grove:
    nodes, lines = np.empty(n_nodes, node), np.empty((n_lines, task.n_classes))
    roots = np.empty(task.n_trees, dtype=np.int32)
    decreases = np.empty((task.n_trees, task.n_features))
    masses = np.empty((n_nodes, task.n_classes)) if task.keep_masses else None
    grove = Grove(nodes, lines, roots, decreases, masses)
    take = holding(kernels) if n_nodes <= _FEW_NODES else kernels
    take.forest_take(trees, ctypes.byref(task), *(pointer(array) for array in grove))
    return grove


def _counts_and_masses(
    weighing: Weighing,
) -> tuple[NDArray[np.int32] | None, NDArray[np.int64] | None, bool]:
    """Counts if they have room in a row's word; otherwise masses, and whether those are counts."""
    repeats = weighing.repeats
    if repeats is None:
        return None, weighing.masses, False
    most = int(repeats.max())
    if most <= MOST_COUNTED and most * repeats.size <= MOST_ROWS:
        return repeats.astype(np.int32, copy=False), None, False
    return None, repeats.astype(np.int64, copy=False), True


def _address(array: NDArray[Any] | None) -> int | None:
    return None if array is None else pointer(array).value
