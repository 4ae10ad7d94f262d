"""Trees as flat arrays, and the forest of them that predicts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

LEAF = -1

# Row-and-tree pairs walked at once: large enough to hide NumPy's cost per call, small enough that
# the working arrays stay in the processor's second-level cache.
_PAIRS_AT_ONCE = 1 << 15


@dataclass(frozen=True, eq=False)
class Tree:
    """A binary decision tree; node 0 is the root and children come after their parent.

    Attributes
    ----------
    feature : (n_nodes,) int32
        The column a node looks at, -1 in a leaf.
    threshold : (n_nodes,) float64
        Rows with ``x[feature] <= threshold`` go left; in the unit of that column, 0 in a leaf.
    left, right : (n_nodes,) int32
        The children's indices, -1 in a leaf.
    value : (n_nodes, n_classes) int64
        Training rows of each class that reached the node; a row counts as often as it was drawn.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.int64]

    @property
    def n_nodes(self) -> int:
        return self.feature.size

    @property
    def n_leaves(self) -> int:
        return int((self.feature == LEAF).sum())

    @property
    def depth(self) -> int:
        """Edges from the root to the deepest leaf."""
        levels, level = 0, self._children(np.zeros(1, dtype=np.int32))
        while level.size:
            levels, level = levels + 1, self._children(level)
        return levels

    def _children(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        inner = nodes[self.feature[nodes] != LEAF]
        return np.concatenate([self.left[inner], self.right[inner]])


@dataclass(frozen=True, eq=False)
class Forest:
    """Many trees in one set of arrays, so that one NumPy call moves every tree a level down.

    The arrays are those of `Tree`, one tree behind the other, with children counted from the
    beginning of the whole; tree ``t`` begins at ``roots[t]``.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.int64]
    roots: NDArray[np.int32]

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "Forest":
        sizes = [tree.n_nodes for tree in trees]
        roots = np.cumsum([0, *sizes[:-1]], dtype=np.int32)
        return cls(
            feature=np.concatenate([tree.feature for tree in trees]),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            left=np.concatenate([_moved(t.left, r) for t, r in zip(trees, roots, strict=True)]),
            right=np.concatenate([_moved(t.right, r) for t, r in zip(trees, roots, strict=True)]),
            value=np.concatenate([tree.value for tree in trees]),
            roots=roots,
        )

    def trees(self) -> tuple[Tree, ...]:
        """The trees one by one, each counting its nodes from 0."""
        ends = [*self.roots[1:].tolist(), self.feature.size]
        return tuple(
            self._tree(*ends_at) for ends_at in zip(self.roots.tolist(), ends, strict=True)
        )

    def _tree(self, start: int, end: int) -> Tree:
        part = slice(start, end)
        return Tree(
            feature=self.feature[part],
            threshold=self.threshold[part],
            left=_moved(self.left[part], -start),
            right=_moved(self.right[part], -start),
            value=self.value[part],
        )

    @cached_property
    def _probabilities(self) -> NDArray[np.float64]:
        rows = self.value.sum(axis=1, keepdims=True, dtype=np.float64)
        shares: NDArray[np.float64] = self.value / rows
        return shares

    @cached_property
    def _votes(self) -> NDArray[np.float64]:
        one_each = np.eye(self.value.shape[1])
        votes: NDArray[np.float64] = one_each[self.value.argmax(axis=1)]
        return votes

    def apply(self, X: NDArray[np.float64]) -> NDArray[np.intp]:
        """The leaf each row ends in, for each tree: (n_rows, n_trees) indices into the arrays.

        All pairs of row and tree go down level by level; those that reached a leaf drop out.
        """
        n_rows, n_trees = len(X), self.roots.size
        node = np.tile(self.roots.astype(np.intp), n_rows)
        row = np.repeat(np.arange(n_rows), n_trees)
        moving = np.flatnonzero(self.feature[node] != LEAF)
        while moving.size:
            at = node[moving]
            goes_left = X[row[moving], self.feature[at]] <= self.threshold[at]
            below = np.where(goes_left, self.left[at], self.right[at])
            node[moving] = below
            moving = moving[self.feature[below] != LEAF]
        return node.reshape(n_rows, n_trees)

    def predict_proba(self, X: NDArray[np.float64], *, hard: bool = False) -> NDArray[np.float64]:
        """The mean over trees of the class shares in the leaf: (n_rows, n_classes).

        ``hard`` gives each tree one vote instead, for the first of its leaf's largest classes.
        """
        answers = self._votes if hard else self._probabilities
        step = max(1, _PAIRS_AT_ONCE // self.roots.size)
        parts = [
            answers[self.apply(X[start : start + step])].mean(axis=1)
            for start in range(0, len(X), step)
        ]
        return np.concatenate(parts)

    def check(self, n_features: int) -> None:
        """Refuse arrays that are not a forest; what passes can be walked safely.

        Walks end because a child always lies behind its parent and within the same tree, and stay
        within the arrays because every index is compared with their ends.

        Raises
        ------
        ValueError
            Naming the array that is wrong.
        """
        self._check_shapes()
        inner = np.flatnonzero(self.feature != LEAF)
        if (self.feature < LEAF).any() or (self.feature >= n_features).any():
            raise ValueError("the model's feature indices are out of range")
        if not np.isfinite(self.threshold).all():
            raise ValueError("the model's thresholds are not finite")
        self._check_children(inner)
        self._check_counts(inner)

    def _check_shapes(self) -> None:
        n_nodes = self.feature.size
        lines = (self.feature, self.threshold, self.left, self.right)
        if self.value.ndim != 2 or any(line.shape != (n_nodes,) for line in lines):
            raise ValueError("the model's arrays do not have the shapes of a forest")
        if len(self.value) != n_nodes or self.value.shape[1] == 0:
            raise ValueError("the model's class counts do not have the shape of a forest")
        if self.roots.ndim != 1 or self.roots.size == 0 or self.roots[0] != 0:
            raise ValueError("the model's trees do not begin at its first node")
        if (np.diff(self.roots) <= 0).any() or self.roots[-1] >= n_nodes:
            raise ValueError("the model's trees are empty or out of order")

    def _check_children(self, inner: NDArray[np.intp]) -> None:
        leaves = self.feature == LEAF
        if (self.left[leaves] != LEAF).any() or (self.right[leaves] != LEAF).any():
            raise ValueError("the model's child indices lead out of a leaf")
        ends = np.append(self.roots[1:], self.feature.size)
        end = ends[np.searchsorted(self.roots, inner, side="right") - 1]
        children = np.concatenate([self.left[inner], self.right[inner]])
        if (children <= np.tile(inner, 2)).any() or (children >= np.tile(end, 2)).any():
            raise ValueError("the model's child indices are out of range")
        parents = np.bincount(children, minlength=self.feature.size)
        parents[self.roots] += 1
        if (parents != 1).any():
            raise ValueError("the model's child indices do not form trees")

    def _check_counts(self, inner: NDArray[np.intp]) -> None:
        # 2**53 is where float64, in which the counts are gathered, stops counting exactly.
        if (self.value < 0).any() or (self.value > 2**53).any():
            raise ValueError("the model's class counts are out of range")
        if not self.value.any(axis=1).all():
            raise ValueError("the model has a node that no training row reached")
        below = self.value[self.left[inner]] + self.value[self.right[inner]]
        if (self.value[inner] != below).any():
            raise ValueError("the model's class counts do not add up")


FOREST_ARRAYS = tuple(array.name for array in fields(Forest))


def _moved(children: NDArray[np.int32], by: int) -> NDArray[np.int32]:
    return np.where(children == LEAF, LEAF, children + np.int32(by)).astype(np.int32)
