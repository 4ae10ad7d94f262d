"""Forests made at random, and rows for them, of which many stand exactly on a threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.trees import NODE_OF, Forest, Tree

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)

# Rows and thresholds share these values, so that many rows stand exactly on a threshold.
_HUGE, _TINY = float(np.finfo(np.float32).max), float(np.finfo(np.float32).smallest_subnormal)
VALUES = np.array([-_HUGE, -2.5, -_TINY, -0.0, 0.0, _TINY, 0.1, 1.0, np.nextafter(1.0, 2), _HUGE])


def tree(
    rng: np.random.Generator, n_splits: int, n_features: int, n_classes: int, type_: np.dtype[Any]
) -> Tree:
    """A tree whose leaves are split at random, some of them with shares of their own."""
    nodes = np.zeros(2 * n_splits + 1, NODE_OF[type_])
    nodes["feature"], leaves = -1, [0]
    for split in range(n_splits):
        node, left = leaves.pop(int(rng.integers(len(leaves)))), 2 * split + 1
        nodes[node] = rng.choice(VALUES), rng.integers(n_features), left
        leaves += [left, left + 1]
    masses = rng.integers(1, 9, size=(len(leaves) // 2, n_classes)).astype(np.float64)
    own = masses / masses.sum(axis=1, keepdims=True)
    nodes["left"][leaves] = rng.integers(n_classes + len(own), size=len(leaves))
    nodes["left"][leaves[: len(own)]] = n_classes + np.arange(len(own))
    return Tree(nodes, np.concatenate([np.eye(n_classes), own]))


def forest(
    seed: int,
    n_trees: int = 7,
    *,
    n_splits: int = 20,
    n_features: int = 4,
    n_classes: int = 3,
    type_: np.dtype[Any] = SINGLE,
) -> Forest:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(n_splits + 1, size=n_trees)
    made = Forest.of([tree(rng, int(size), n_features, n_classes, type_) for size in sizes])
    made.check(n_features)
    return made


def rows_for(
    seed: int, n_rows: int, n_features: int = 4, type_: np.dtype[Any] = SINGLE
) -> NDArray[Any]:
    drawn = np.random.default_rng(seed).choice(VALUES, size=(n_rows, n_features))
    return drawn.astype(type_)
