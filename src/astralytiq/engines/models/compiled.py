"""Fitted models as a few arrays: what answers for boosted trees and for linear models.

One row takes scikit-learn 0.15 to 0.35 ms, most of it checks and calls; these take hundredths.
What is served is also what a version was evaluated with.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core import onnx, prediction
from ml_core.trees import LEAF, NODE_OF, Nodes

from .contract import NoOnnx

Floats = NDArray[np.float64]
SINGLE = np.dtype(np.float32)
NODE = NODE_OF[SINGLE]
# Rows by trees at once: the leaves' values of more would not stay in the processor's cache.
MOST_PAIRS = 1 << 18


class Scores(Protocol):
    """Numbers before the link: one of a regression or of two classes, else one of each class."""

    def of(self, rows: ArrayLike) -> Floats:
        """(rows, outputs)"""

    def to_onnx(self, classes: NDArray[Any] | None) -> bytes: ...


@dataclass(frozen=True, eq=False)
class Compiled:
    """`source` is what is saved; of a regression `classes_` is None."""

    source: Any
    scores: Scores
    classes_: NDArray[Any] | None
    feature_importances_: Floats

    def predict_proba(self, rows: ArrayLike) -> Floats:
        found = self.scores.of(rows)
        return both(logistic(found)) if found.shape[1] == 1 else softmax(found)

    def predict(self, rows: ArrayLike) -> Floats:
        """Of a regression: (rows,)"""
        return self.scores.of(rows)[:, 0]

    def to_onnx(self) -> bytes:
        try:
            return self.scores.to_onnx(self.classes_)
        except ValueError as error:
            raise NoOnnx(str(error)) from None


def logistic(scores: Floats) -> Floats:
    """1 / (1 + exp(-scores)), where exp never overflows."""
    small = np.exp(-np.abs(scores))
    found: Floats = np.where(scores >= 0, 1.0, small) / (1.0 + small)
    return found


def both(second: Floats) -> Floats:
    return np.concatenate([1.0 - second, second], axis=1)


def softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


@dataclass(frozen=True, eq=False)
class Linear:
    """Of scaled features; not folded into one, as differences to a large mean would lose digits."""

    mean: Floats  # (features,)
    scale: Floats  # (features,)
    coefficients: Floats  # (features, outputs)
    intercept: Floats  # (outputs,)

    def of(self, rows: ArrayLike) -> Floats:
        scaled = (np.asarray(rows, dtype=np.float64) - self.mean) / self.scale
        found: Floats = scaled @ self.coefficients + self.intercept
        return found

    def to_onnx(self, classes: NDArray[Any] | None) -> bytes:
        return onnx.linear_to_onnx(
            self.mean, self.scale, self.coefficients, self.intercept, classes
        )


@dataclass(frozen=True, eq=False)
class Boosted:
    """Sums over trees. `nodes` and `roots` are those of `ml_core`'s forests, with `values` in place
    of lines of shares; the trees of one output stand together and begin at the tree `firsts`."""

    nodes: Nodes
    roots: NDArray[np.int32]
    values: Floats  # of each leaf
    firsts: NDArray[np.intp]  # (outputs,)
    base: Floats  # (outputs,)
    n_features: int

    def of(self, rows: ArrayLike) -> Floats:
        with np.errstate(over="ignore"):  # Beyond float32 a number is infinite: compared alike.
            singles = np.require(rows, SINGLE, "C")
        if singles.ndim != 2 or singles.shape[1] != self.n_features:
            raise ValueError(f"rows of {self.n_features} features are wanted")
        step = max(1, MOST_PAIRS // self.roots.size)
        parts = [self.some(singles[at : at + step]) for at in range(0, len(singles), step)]
        return (
            parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, self.base.size)), *parts])
        )

    def some(self, rows: NDArray[np.float32]) -> Floats:
        leaves = prediction.leaf_lines(self.nodes, self.roots, rows)
        sums: Floats = np.add.reduceat(self.values[leaves], self.firsts, axis=1)
        return sums + self.base

    def to_onnx(self, classes: NDArray[Any] | None) -> bytes:
        return onnx.boosted_to_onnx(
            self.nodes, self.roots, self.values, self.firsts, self.base, classes, self.n_features
        )


@dataclass(frozen=True, eq=False)
class Tree:
    """As libraries keep one: a leaf's `left` is below 0 and its `number` the value.

    In other nodes rows of at most `number` go left.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    number: NDArray[np.float64]


def boosted(trees: list[list[Tree]], base: Floats, n_features: int) -> Boosted:
    """Of the trees of each output. Raises ValueError for what are no trees.

    Thresholds must be numbers of float32: rows are compared as float32.
    """
    firsts = np.cumsum([0, *map(len, trees)])[:-1]
    if not all(trees) or len(trees) != base.size:
        raise ValueError("some of the model's outputs have no trees")
    every = [renumbered(tree, n_features) for some in trees for tree in some]
    sizes = np.array([nodes.size for nodes, _ in every])
    counts = np.array([values.size for _, values in every])
    for (nodes, _), root, line in zip(
        every, np.cumsum(sizes) - sizes, np.cumsum(counts) - counts, strict=True
    ):
        nodes["left"] += np.where(nodes["feature"] == LEAF, line, root).astype(np.int32)
    values = np.concatenate([values for _, values in every])
    if not (np.isfinite(values).all() and np.isfinite(base).all()):
        raise ValueError("the model's values are not finite")
    return Boosted(
        np.concatenate([nodes for nodes, _ in every]),
        (np.cumsum(sizes) - sizes).astype(np.int32),
        values,
        firsts.astype(np.intp),
        base,
        n_features,
    )


def renumbered(tree: Tree, n_features: int) -> tuple[Nodes, Floats]:
    """Nodes whose children stand side by side behind them, and the values of the leaves.

    The i-th node that splits gets the places 2 i + 1 and 2 i + 2 for its children, which is behind
    its own wherever children come after their parents.
    """
    inner = np.flatnonzero(tree.left >= 0)
    children = np.stack([tree.left[inner], tree.right[inner]], axis=1).ravel()
    places = np.full(tree.left.size, -1)
    refuse_tangled(tree, inner, children)
    places[0], places[children] = 0, np.arange(1, children.size + 1)
    if (places[inner] < 0).any():
        raise ValueError("the model's nodes do not form trees")
    nodes = np.zeros(children.size + 1, NODE)
    refuse_features(tree.feature[inner], n_features)
    nodes["feature"] = LEAF
    nodes["feature"][places[inner]] = tree.feature[inner]
    nodes["threshold"][places[inner]] = tree.number[inner]
    nodes["left"][places[inner]] = 2 * np.arange(inner.size) + 1
    leaves = np.flatnonzero((places >= 0) & (tree.left < 0))
    nodes["left"][places[leaves]] = np.arange(leaves.size)
    return nodes, tree.number[leaves].astype(np.float64)


def refuse_tangled(tree: Tree, inner: NDArray[np.intp], children: NDArray[np.int64]) -> None:
    size = tree.left.size
    if not size or not size == tree.right.size == tree.feature.size == tree.number.size:
        raise ValueError("the model's nodes lack something")
    if (children >= size).any() or (children <= np.repeat(inner, 2)).any():
        raise ValueError("the model's children do not stand behind their parents")
    if np.bincount(children, minlength=1).max() > 1:
        raise ValueError("the model's nodes have several parents")


def refuse_features(features: NDArray[np.int64], n_features: int) -> None:
    if (features < 0).any() or (features >= n_features).any():
        raise ValueError("the model's trees look at features that it does not have")
