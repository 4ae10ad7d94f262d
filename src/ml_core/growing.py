"""Growing one tree, depth first, from the root down (CART)."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.criteria import Criterion
from ml_core.pruning import pruned
from ml_core.splitting import Sample, Split, best_split, first_that_varies
from ml_core.trees import LEAF, Tree, tree_of


@dataclass(frozen=True, slots=True)
class Rules:
    """When a node is split, and how: an estimator's parameters, checked and resolved."""

    criterion: Criterion
    max_depth: float
    min_samples_split: int
    min_samples_leaf: int
    features_per_node: int
    ccp_alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The arrays of a `Tree` while they grow."""

    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    counts: list[NDArray[np.float64]] = field(default_factory=list)

    def add_leaf(self, counts: NDArray[np.float64]) -> int:
        self.feature.append(LEAF)
        self.threshold.append(0.0)
        self.left.append(LEAF)
        self.counts.append(counts)
        return len(self.feature) - 1

    def turn_into_split(self, node: int, split: Split, left: int) -> None:
        self.feature[node], self.threshold[node] = split
        self.left[node] = left

    def finished(self) -> "Grown":
        masses = np.array(self.counts)
        tree = tree_of(
            feature=np.array(self.feature, dtype=np.int32),
            threshold=np.array(self.threshold, dtype=np.float64),
            left=np.array(self.left, dtype=np.int32),
            masses=masses,
        )
        return Grown(tree, masses)


class Grown(NamedTuple):
    """A tree, and the rows of each class that reached its nodes: (n_nodes, n_classes)."""

    tree: Tree
    masses: NDArray[np.float64]

    def pruned(self, rules: Rules) -> "Grown":
        return Grown(*pruned(self.tree, self.masses, rules.criterion, rules.ccp_alpha))


def grow(sample: Sample, rules: Rules, rng: np.random.Generator) -> "Grown":
    """Grow a tree on the rows that count at least once.

    The waiting nodes are kept on a stack of our own: a tree as deep as it has rows (one row cut off
    at a time) would overrun Python's recursion limit.
    """
    nodes = _Nodes()
    rows = np.flatnonzero(sample.class_counts.any(axis=0))
    waiting = [(nodes.add_leaf(_class_counts(sample, rows)), rows, 0)]
    while waiting:
        node, rows, depth = waiting.pop()
        split = _find_split(sample, rows, nodes.counts[node], depth, rules, rng)
        if split is None:
            continue
        goes_left = sample.columns[split.feature, rows] <= split.threshold
        left_rows, right_rows = rows[goes_left], rows[~goes_left]
        left = nodes.add_leaf(_class_counts(sample, left_rows))
        right = nodes.add_leaf(nodes.counts[node] - nodes.counts[left])
        nodes.turn_into_split(node, split, left)
        waiting.append((right, right_rows, depth + 1))
        waiting.append((left, left_rows, depth + 1))
    return nodes.finished().pruned(rules)


def _class_counts(sample: Sample, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = sample.class_counts[:, rows].sum(axis=1)
    return counts


def _find_split(
    sample: Sample,
    rows: NDArray[np.intp],
    counts: NDArray[np.float64],
    depth: int,
    rules: Rules,
    rng: np.random.Generator,
) -> Split | None:
    if _must_stay_a_leaf(counts, depth, rules):
        return None
    draw, wanted = _drawn_features(len(sample.columns), rules, rng)
    search = (rules.criterion, rules.min_samples_leaf)
    split = best_split(sample, rows, draw[:wanted], *search)
    if split is None and wanted < draw.size:
        # Constant features do not use up the draw. (If one drawn feature did vary, without an
        # allowed cut, it comes first again and the node stays a leaf: it had its fair draw.)
        split = best_split(sample, rows, first_that_varies(sample, rows, draw), *search)
    return split


def _must_stay_a_leaf(counts: NDArray[np.float64], depth: int, rules: Rules) -> bool:
    per_class = counts.tolist()  # a handful of numbers: plain Python beats NumPy here
    total = sum(per_class)
    return (
        depth >= rules.max_depth
        or total < rules.min_samples_split
        or total < 2 * rules.min_samples_leaf
        or max(per_class) == total
    )


def _drawn_features(
    n_features: int, rules: Rules, rng: np.random.Generator
) -> tuple[NDArray[np.intp], int]:
    """All features in a random order, and how many of them this node looks at.

    Without a draw (all features) the order is that of the columns: such a tree holds no chance.
    """
    if rules.features_per_node >= n_features:
        return np.arange(n_features), n_features
    return rng.permutation(n_features), rules.features_per_node
