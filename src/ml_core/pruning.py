"""Minimal cost-complexity pruning: cutting off the branches that earn too little.

Breiman, Friedman, Olshen and Stone 1984, section 3.3. The cost of a tree is its risk, the impurity
of its leaves weighted by their share of the rows, plus alpha for each leaf. A branch at node t
earns ``g(t) = (risk of t as a leaf - risk of its leaves) / (its leaves - 1)`` for each leaf beyond
the first; the branch that earns least is the weakest link. Cutting weakest links as long as they
earn no more than alpha leaves the smallest tree of least cost.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.criteria import Criterion, total_of
from ml_core.growing import Grove
from ml_core.trees import LEAF, Nodes

Floats = NDArray[np.float64]


class PruningPath(NamedTuple):
    """Both (n_steps,): the alphas at which a branch goes, and the risk of what is then left.

    The first step is the whole tree at alpha 0, the last is its root alone.
    """

    ccp_alphas: Floats
    impurities: Floats


class _Cut(NamedTuple):
    node: int
    alpha: float
    risk: float


def pruned(grown: Grove, criterion: Criterion, alpha: float) -> Grove:
    """The tree without the branches that earn no more than ``alpha``; its masses must be kept.

    Costs O(n_nodes) for each branch that goes.
    """
    assert grown.masses is not None
    feature = grown.nodes["feature"].copy()
    for cut in _cuts(grown.nodes, grown.masses, criterion):
        if cut.alpha > alpha:
            break
        feature[cut.node] = LEAF
    return _reachable(grown, grown.masses, feature, criterion)


def pruning_path(nodes: Nodes, masses: Floats, criterion: Criterion) -> PruningPath:
    """All steps from the whole tree to its root."""
    steps = [_Cut(-1, 0.0, float(_risks(masses, criterion)[nodes["feature"] == LEAF].sum()))]
    for cut in _cuts(nodes, masses, criterion):
        # Rounding may let a later link seem weaker than the one before it.
        steps.append(cut._replace(alpha=max(cut.alpha, steps[-1].alpha)))
    alphas, risks = ([step[part] for step in steps] for part in (1, 2))
    return PruningPath(np.array(alphas), np.array(risks))


def _risks(masses: Floats, criterion: Criterion) -> Floats:
    """What each node adds to the risk where it is a leaf."""
    risks: Floats = criterion.impurity(masses.T) / total_of(masses[0])
    return risks


def _cuts(nodes: Nodes, masses: Floats, criterion: Criterion) -> Iterator[_Cut]:
    """Weakest links, one after the other, until the root is a leaf."""
    risk = _risks(masses, criterion)
    parent = _parents(nodes)
    below, leaves = risk.copy(), np.ones(nodes.size)
    left, inner = nodes["left"], nodes["feature"] != LEAF
    for node in np.flatnonzero(inner)[::-1]:
        pair = [left[node], left[node] + 1]
        below[node], leaves[node] = below[pair].sum(), leaves[pair].sum()
    while inner[0]:
        links = np.flatnonzero(inner)
        earned = (risk[links] - below[links]) / (leaves[links] - 1)
        weakest = int(earned.argmin())
        node = int(links[weakest])
        inner[_branch(left, node, inner)] = False
        lost, gained = leaves[node] - 1, risk[node] - below[node]
        ancestor = node
        while ancestor != LEAF:
            leaves[ancestor] -= lost
            below[ancestor] += gained
            ancestor = int(parent[ancestor])
        yield _Cut(node, float(earned[weakest]), float(below[0]))


def _parents(nodes: Nodes) -> NDArray[np.intp]:
    parent = np.full(nodes.size, LEAF, dtype=np.intp)
    inner = np.flatnonzero(nodes["feature"] != LEAF)
    parent[nodes["left"][inner]] = inner
    parent[nodes["left"][inner] + 1] = inner
    return parent


def _branch(left: NDArray[np.int32], root: int, inner: NDArray[np.bool_]) -> list[int]:
    """The inner nodes at and under ``root``."""
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if inner[node]:
            found.append(node)
            waiting += [int(left[node]), int(left[node]) + 1]
    return found


def _reachable(
    grown: Grove, masses: Floats, feature: NDArray[np.int32], criterion: Criterion
) -> Grove:
    """The nodes that are still under the root where ``feature`` says what is a leaf now."""
    left = grown.nodes["left"]
    kept = np.zeros(feature.size, dtype=np.bool_)
    kept[0] = True
    # Children come after their parent, so that one pass finds all.
    for node in np.flatnonzero(feature != LEAF):
        kept[left[node] : left[node] + 2] |= kept[node]
    place = kept.cumsum(dtype=np.int32) - 1
    nodes, masses = grown.nodes[kept], masses[kept]
    inner = feature[kept] != LEAF
    nodes["left"][inner] = place[left[kept][inner]]
    nodes["feature"][~inner], nodes["threshold"][~inner] = LEAF, 0.0
    nodes["left"][~inner], lines = _leaves(masses[~inner])
    decreases = _decreases(nodes, masses, criterion, grown.decreases.shape[1])
    return Grove(nodes, lines, grown.roots, decreases[None], masses)


def _leaves(masses: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The line of shares of each leaf, and the shares of those of several classes."""
    n_classes = masses.shape[1]
    mixed = np.flatnonzero((masses > 0).sum(axis=1) > 1)
    line = masses.argmax(axis=1)
    line[mixed] = np.arange(n_classes, n_classes + mixed.size)
    return line, masses[mixed] / total_of(masses[mixed].T)[:, None]


def _decreases(nodes: Nodes, masses: Floats, criterion: Criterion, n_features: int) -> Floats:
    score = criterion.score(masses.T)
    inner = np.flatnonzero(nodes["feature"] != LEAF)
    left = nodes["left"][inner]
    gained = np.maximum(score[left] + score[left + 1] - score[inner], 0.0)
    return np.bincount(nodes["feature"][inner], gained, minlength=n_features).astype(np.float64)
