"""Small data sets the tests share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core import Tree

Matrix = NDArray[np.float64]


def clouds(
    n_rows: int, n_features: int, *, n_classes: int = 3, seed: int = 0
) -> tuple[Matrix, Any]:
    """Overlapping normal clouds, one per class, so that trees are neither trivial nor hopeless."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    centres = rng.normal(scale=1.5, size=(n_classes, n_features))
    return centres[y] + rng.normal(size=(n_rows, n_features)), y


def counts_of_nodes(tree: Tree, x: Matrix, y: Any, weight: Any = None) -> Matrix:
    """How often rows of each class reach each node: (n_nodes, n_classes)."""
    counts = np.zeros((tree.n_nodes, tree.shares.shape[1]))
    node = np.zeros(len(x), dtype=np.intp)
    moving = np.arange(len(x))
    while moving.size:
        np.add.at(counts, (node[moving], y[moving]), 1 if weight is None else weight[moving])
        moving = moving[tree.feature[node[moving]] >= 0]
        at = node[moving]
        goes_left = x[moving, tree.feature[at]] <= tree.threshold[at]
        node[moving] = np.where(goes_left, tree.left[at], tree.right[at])
    return counts


def same_tree(one: Tree, other: Tree) -> bool:
    return np.array_equal(one.nodes, other.nodes) and np.array_equal(one.shares, other.shares)
