"""Trees as flat arrays of nodes, and the forest of them that predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core import prediction

LEAF = -1

# Numbers of type int32 count nodes and lines.
MOST_NODES = 2**31 - 1

# Leaves' shares add up to 1 but for the rounding of each of them.
_ROUNDING = 1e-9

Nodes = NDArray[np.void]
Shares = NDArray[np.float64]


def _node_of(threshold: str) -> np.dtype[np.void]:
    return np.dtype([("threshold", threshold), ("feature", np.int32), ("left", np.int32)])


# The dtype of a node by that of its threshold, which is that of the rows in `fit`.
NODE_OF = {np.dtype(name): _node_of(name) for name in ("float32", "float64")}


@dataclass(frozen=True, eq=False)
class Tree:
    """A binary decision tree; node 0 is the root and children come after their parent.

    Attributes
    ----------
    nodes : (n_nodes,) array of threshold, feature and left
        In an inner node rows with ``x[feature] <= threshold`` go to node ``left``, all others to
        node ``left + 1``. In a leaf ``feature`` is -1, ``threshold`` 0 and ``left`` the line of
        ``shares`` that it answers with.
    shares : (n_lines, n_classes) float64
        Shares of the classes, which sum to 1 in a line. The first n_classes lines are the answers
        of leaves of one class; each leaf of several has a line of its own behind them.
    """

    nodes: Nodes
    shares: Shares

    @property
    def feature(self) -> NDArray[np.int32]:
        """The column a node looks at, -1 in a leaf."""
        return self.nodes["feature"]

    @property
    def threshold(self) -> NDArray[Any]:
        """Rows of at most this go left; in the unit of the column, 0 in a leaf."""
        return self.nodes["threshold"]

    @property
    def left(self) -> NDArray[np.int32]:
        """The left child's index, -1 in a leaf."""
        return np.where(self.feature == LEAF, np.int32(LEAF), self.nodes["left"])

    @property
    def right(self) -> NDArray[np.int32]:
        """The right child's index, -1 in a leaf."""
        return np.where(self.feature == LEAF, np.int32(LEAF), self.nodes["left"] + np.int32(1))

    @property
    def n_nodes(self) -> int:
        return self.nodes.size

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

    def shares_of(self, leaves: Any) -> Shares:
        """The class shares of leaves that are given by their nodes: (n_leaves, n_classes)."""
        shares: Shares = self.shares[self.nodes["left"][leaves]]
        return shares

    def _children(self, nodes: NDArray[np.int32]) -> NDArray[np.int32]:
        left = self.nodes["left"][nodes[self.feature[nodes] != LEAF]]
        return np.concatenate([left, left + np.int32(1)])


@dataclass(frozen=True, eq=False)
class Forest:
    """Many trees in one set of arrays.

    ``nodes`` and ``shares`` are those of `Tree`, one tree behind the other, with children and lines
    counted from the beginning of the whole; the lines of pure leaves stand there once. Tree ``t``
    begins at node ``roots[t]``.
    """

    nodes: Nodes
    shares: Shares
    roots: NDArray[np.int32]

    @classmethod
    def of(cls, trees: Sequence[Tree]) -> "Forest":
        """Raises ValueError for more nodes than int32 can count."""
        n_classes = trees[0].shares.shape[1]
        gathering = Gathering(len(trees), n_classes)
        for tree in trees:
            gathering.add(tree.nodes, tree.shares[n_classes:], np.zeros(1, dtype=np.int32))
        return gathering.forest()

    def trees(self) -> tuple[Tree, ...]:
        """The trees one by one, each counting its nodes and lines from 0."""
        ends = [*self.roots[1:].tolist(), self.nodes.size]
        return tuple(
            self._tree(*ends_at) for ends_at in zip(self.roots.tolist(), ends, strict=True)
        )

    def _tree(self, start: int, end: int) -> Tree:
        nodes, n_classes = self.nodes[start:end].copy(), self.shares.shape[1]
        lines = nodes["left"][nodes["feature"] == LEAF]
        own = lines[lines >= n_classes]
        first, last = (int(own.min()), int(own.max()) + 1) if own.size else (n_classes, n_classes)
        _move(nodes, -start, n_classes - first, n_classes)
        return Tree(nodes, np.concatenate([self.shares[:n_classes], self.shares[first:last]]))

    def leaf_lines(self, X: NDArray[Any]) -> NDArray[np.int32]:
        """The line of shares that each row ends at, for each tree: (n_rows, n_trees)."""
        return prediction.leaf_lines(self.nodes, self.roots, X)

    def predict_proba(
        self, X: NDArray[Any], *, hard: bool = False, n_jobs: int | None = None
    ) -> NDArray[np.float64]:
        """The mean over trees of the class shares in the leaf: (n_rows, n_classes).

        ``hard`` gives each tree one vote instead, for the first of its leaf's largest classes.
        """
        return prediction.predict_proba(
            self.nodes, self.roots, self.shares, X, hard=hard, n_jobs=n_jobs
        )

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
        feature, threshold = self.nodes["feature"], self.nodes["threshold"]
        if (feature < LEAF).any() or (feature >= n_features).any():
            raise ValueError("the model's feature indices are out of range")
        if not np.isfinite(threshold).all():
            raise ValueError("the model's thresholds are not finite")
        self._check_children()
        self._check_shares()

    def _check_shapes(self) -> None:
        n_nodes = self.nodes.size
        if self.nodes.ndim != 1 or self.nodes.dtype not in NODE_OF.values():
            raise ValueError("the model's nodes do not have the shape of a forest")
        if self.shares.ndim != 2 or not 0 < self.shares.shape[1] <= len(self.shares):
            raise ValueError("the model's class shares do not have the shape of a forest")
        if self.roots.ndim != 1 or self.roots.size == 0 or self.roots[0] != 0:
            raise ValueError("the model's trees do not begin at its first node")
        # Compared, as a difference may be too large for its type.
        if (self.roots[1:] <= self.roots[:-1]).any() or self.roots[-1] >= n_nodes:
            raise ValueError("the model's trees are empty or out of order")

    def _check_children(self) -> None:
        inner = np.flatnonzero(self.nodes["feature"] != LEAF)
        left = self.nodes["left"][inner].astype(np.int64)
        ends = np.append(self.roots[1:], self.nodes.size)
        end = ends[np.searchsorted(self.roots, inner, side="right") - 1]
        if (left <= inner).any() or (left + 1 >= end).any():
            raise ValueError("the model's child indices are out of range")
        parents = np.bincount(np.concatenate([left, left + 1]), minlength=self.nodes.size)
        parents[self.roots] += 1
        if (parents != 1).any():
            raise ValueError("the model's child indices do not form trees")

    def _check_shares(self) -> None:
        lines = self.nodes["left"][self.nodes["feature"] == LEAF]
        if (lines < 0).any() or (lines >= len(self.shares)).any():
            raise ValueError("the model's leaves point beyond its class shares")
        n_classes = self.shares.shape[1]
        if not np.array_equal(self.shares[:n_classes], np.eye(n_classes)):
            raise ValueError("the model's class shares do not begin with those of pure leaves")
        # Compared so that NaN is refused, too.
        if (
            not (self.shares >= 0).all()
            or not (np.abs(self.shares.sum(axis=1) - 1.0) <= _ROUNDING).all()
        ):
            raise ValueError("the model's class shares are not shares")


class Gathering:
    """The forest of trees that come some at a time, each of which memory holds only once."""

    def __init__(self, n_trees: int, n_classes: int) -> None:
        self._n_classes = n_classes
        self._roots: list[NDArray[np.int32]] = []
        self._nodes, self._lines = _Row(n_trees), _Row(n_trees)

    def add(self, nodes: Nodes, lines: Shares, roots: NDArray[np.int32]) -> None:
        """Put trees behind the others; ``lines`` are their shares without those of pure leaves.

        Children, lines and roots are counted from the first of these trees.

        Raises
        ------
        ValueError
            For more nodes than int32 can count.
        """
        start, first_line = self._nodes.length, self._lines.length
        if start + nodes.size > MOST_NODES:
            raise ValueError(
                f"the forest would have more than {MOST_NODES} nodes; grow fewer trees"
            )
        _move(self._nodes.add(nodes), start, first_line, self._n_classes)
        self._lines.add(lines)
        self._roots.append(roots + np.int32(start))

    def forest(self) -> Forest:
        """All trees so far; takes them over, so nothing can be added any more."""
        shares = np.concatenate([np.eye(self._n_classes), self._lines.whole()])
        return Forest(self._nodes.whole(), shares, np.concatenate(self._roots))


class _Row:
    """Arrays one behind the other, in room for all that is guessed from the first of them.

    Room that is not written to takes no memory, and what is too much is given back at the end.
    """

    def __init__(self, n_parts: int) -> None:
        self.length = 0
        self._n_parts = n_parts
        self._room: NDArray[Any] | None = None

    def add(self, part: NDArray[Any]) -> NDArray[Any]:
        end = self.length + len(part)
        if self._room is None or end > len(self._room):
            # A quarter more than if all parts were as long as this one.
            size = end + len(part) * self._n_parts * 5 // 4
            room = np.empty((size, *part.shape[1:]), part.dtype)
            if self._room is not None:
                room[: self.length] = self._room[: self.length]
            self._room = room
        added = self._room[self.length : end]
        added[...] = part
        self.length = end
        return added

    def whole(self) -> NDArray[Any]:
        room, self._room = self._room, None
        assert room is not None
        room.resize((self.length, *room.shape[1:]), refcheck=False)
        return room


def _move(nodes: Nodes, by: int, by_line: int, n_classes: int) -> None:
    """Let children and lines be counted from elsewhere; the lines of pure leaves stay."""
    left = nodes["left"]
    of_leaf = np.where(left >= n_classes, np.int32(by_line), np.int32(0))
    left += np.where(nodes["feature"] != LEAF, np.int32(by), of_leaf)
