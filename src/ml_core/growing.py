"""Growing one tree, depth first, from the root down (CART): the definition, in NumPy.

`growing_native` does the same in C, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.coding import Coded
from ml_core.criteria import Criterion, total_of
from ml_core.draws import Draws
from ml_core.splitting import Cut, Least, Looking, Sample, best_cut
from ml_core.trees import LEAF, NODE_OF, Nodes, Shares

# More than a tree has levels or a fit has rows; C doubles it.
UNLIMITED = 2**61


@dataclass(frozen=True, slots=True)
class Rules:
    """When a node is split, and how: an estimator's parameters, checked and resolved."""

    criterion: Criterion
    max_depth: int
    min_samples_split: int
    min_samples_leaf: int
    features_per_node: int
    min_weight_fraction_leaf: float = 0.0
    ccp_alpha: float = 0.0
    keep_masses: bool = False


@dataclass(frozen=True, slots=True)
class Weighing:
    """What rows weigh in one tree, all (n_rows,); where both are None every row counts once.

    ``repeats`` say how often a row counts, which is also its mass; otherwise ``masses`` are its
    mass, and it counts once. Masses of class c are multiplied by ``scales[c]``; None is 1.
    """

    n_classes: int
    repeats: NDArray[np.integer[Any]] | None
    masses: NDArray[np.int64] | None
    scales: NDArray[np.float64] | None


class Grove(NamedTuple):
    """A tree, or some one behind the other, before they are part of a forest.

    ``nodes`` are those of `Tree`, ``lines`` their shares without those of pure leaves, both counted
    from the first tree; ``roots`` (n_trees,) say where a tree begins. ``decreases`` (n_trees,
    n_features) are by how much the splits of a feature decreased impurity times mass, and
    ``masses`` (n_nodes, n_classes) what reached the nodes, where that is kept.
    """

    nodes: Nodes
    lines: Shares
    roots: NDArray[np.int32]
    decreases: NDArray[np.float64]
    masses: NDArray[np.float64] | None


@dataclass(slots=True)
class _Growth:
    """The parts of a `Grove` of one tree while they grow."""

    feature: list[int] = field(default_factory=list)
    threshold: list[Any] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    masses: list[NDArray[np.float64]] = field(default_factory=list)
    lines: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, masses: NDArray[np.float64]) -> int:
        """A node that has yet to become a leaf or to be split."""
        self.feature.append(LEAF)
        self.threshold.append(0.0)
        self.left.append(0)
        self.masses.append(masses)
        return len(self.feature) - 1

    def make_leaf(self, node: int) -> None:
        masses = self.masses[node]
        if np.count_nonzero(masses) == 1:
            self.left[node] = int(masses.argmax())
            return
        total = 0.0
        for mass in masses.tolist():
            total += mass
        self.left[node] = masses.size + len(self.lines)
        self.lines.append(masses / total)

    def finished(self, threshold_type: np.dtype[Any], decreases: NDArray[np.float64]) -> Grove:
        nodes = np.empty(len(self.feature), NODE_OF[threshold_type])
        nodes["feature"], nodes["left"] = self.feature, self.left
        nodes["threshold"] = self.threshold
        masses = np.array(self.masses)
        lines = np.array(self.lines).reshape(-1, masses.shape[1])
        return Grove(nodes, lines, np.zeros(1, dtype=np.int32), decreases[None], masses)


def grow(
    data: Coded, labels: NDArray[Any], weighing: Weighing, rules: Rules, draws: Draws
) -> Grove:
    """Grow a tree on the rows that have a mass; ``labels`` (n_rows,) are their classes.

    The waiting nodes are kept on a stack of our own: a tree as deep as it has rows (one row cut off
    at a time) would overrun Python's recursion limit.
    """
    sample = _sample(data, labels, weighing)
    n_features = len(sample.columns)
    growth, decreases = _Growth(), np.zeros(n_features)
    order = list(range(n_features))
    rows = np.flatnonzero(sample.masses * sample.scales[sample.classes])
    waiting = [(growth.add(sample.masses_of(rows)), rows, 0)]
    least_mass = rules.min_weight_fraction_leaf * float(total_of(growth.masses[0]))
    least = Least(rules.min_samples_leaf, least_mass)
    while waiting:
        node, rows, depth = waiting.pop()
        cut = None
        if not _must_stay_a_leaf(growth.masses[node], sample.counts[rows].sum(), depth, rules):
            if rules.features_per_node < n_features:
                looking = Looking(_features(order, draws), rules.features_per_node, None)
            else:
                looking = Looking(iter(order), n_features, draws)
            cut = best_cut(sample, rows, looking, rules.criterion, least)
        if cut is None:
            growth.make_leaf(node)
            continue
        gained = cut.score - float(rules.criterion.score(growth.masses[node]))
        # A cut that gains nothing may round to just below 0.
        decreases[cut.feature] += max(gained, 0.0)
        goes_left = sample.columns[cut.feature, rows] <= cut.below
        left_rows, right_rows = rows[goes_left], rows[~goes_left]
        left = growth.add(sample.masses_of(left_rows))
        right = growth.add(sample.masses_of(right_rows))
        growth.feature[node], growth.left[node] = cut.feature, left
        growth.threshold[node] = _threshold(data, cut)
        waiting.append((right, right_rows, depth + 1))
        waiting.append((left, left_rows, depth + 1))
    return growth.finished(data.low.dtype, decreases)


def _sample(data: Coded, labels: NDArray[Any], weighing: Weighing) -> Sample:
    of_row = weighing.repeats if weighing.masses is None else weighing.masses
    masses = np.ones(labels.size, dtype=np.int64) if of_row is None else of_row.astype(np.int64)
    counts = masses if weighing.masses is None else (masses > 0).astype(np.int64)
    scales = np.ones(weighing.n_classes) if weighing.scales is None else weighing.scales
    return Sample(data.by_column, labels, masses, counts, scales)


def _must_stay_a_leaf(masses: NDArray[np.float64], count: int, depth: int, rules: Rules) -> bool:
    return bool(
        depth >= rules.max_depth
        or count < rules.min_samples_split
        or count < 2 * rules.min_samples_leaf
        or np.count_nonzero(masses) == 1
    )


def _features(order: list[int], draws: Draws) -> Iterator[int]:
    """Features in a random order, drawn as they are asked for (Fisher and Yates, from the end).

    ``order`` is left as it comes to stand; the next node goes on from it, which is as random.
    """
    for left in range(len(order), 0, -1):
        place = draws.below(left)
        order[place], order[left - 1] = order[left - 1], order[place]
        yield order[left - 1]


def _threshold(bins: Coded, cut: Cut) -> Any:
    start = bins.starts[cut.feature]
    return midpoint(bins.high[start + cut.below], bins.low[start + cut.above])


def midpoint(low: Any, high: Any) -> Any:
    """A number t with low <= t < high, halfway if floats of their type allow it.

    Halves are added because low + high could overflow. Between neighbouring floats the sum rounds
    to one of them: to ``high`` would send both values left, so ``low`` is taken instead.
    """
    middle = low / 2 + high / 2
    return middle if low <= middle < high else low
