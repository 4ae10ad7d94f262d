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

from ml_core.criteria import Criterion
from ml_core.trees import LEAF, Tree, tree_of

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


def pruned(tree: Tree, masses: Floats, criterion: Criterion, alpha: float) -> tuple[Tree, Floats]:
    """The tree without the branches that earn no more than ``alpha``; 0 leaves it as it is.

    ``masses`` of the classes reached its nodes, (n_nodes, n_classes); so for what is left.
    Costs O(n_nodes) for each branch that goes.
    """
    if alpha == 0.0:
        return tree, masses
    feature = tree.feature.copy()
    for cut in _cuts(tree, masses, criterion):
        if cut.alpha > alpha:
            break
        feature[cut.node] = LEAF
    return _reachable(tree, masses, feature)


def pruning_path(tree: Tree, masses: Floats, criterion: Criterion) -> PruningPath:
    """All steps from the whole tree to its root."""
    steps = [_Cut(-1, 0.0, float(_risks(masses, criterion)[tree.feature == LEAF].sum()))]
    for cut in _cuts(tree, masses, criterion):
        # Rounding may let a later link seem weaker than the one before it.
        steps.append(cut._replace(alpha=max(cut.alpha, steps[-1].alpha)))
    alphas, risks = ([step[part] for step in steps] for part in (1, 2))
    return PruningPath(np.array(alphas), np.array(risks))


def _risks(masses: Floats, criterion: Criterion) -> Floats:
    """What each node adds to the risk where it is a leaf."""
    counts = masses.T
    risks: Floats = criterion(counts, counts.sum(axis=0)) / masses[0].sum()
    return risks


def _cuts(tree: Tree, masses: Floats, criterion: Criterion) -> Iterator[_Cut]:
    """Weakest links, one after the other, until the root is a leaf."""
    risk = _risks(masses, criterion)
    parent = _parents(tree)
    below, leaves = risk.copy(), np.ones(tree.n_nodes)
    inner = tree.feature != LEAF
    left = tree.left
    for node in np.flatnonzero(inner)[::-1]:
        pair = [left[node], left[node] + 1]
        below[node], leaves[node] = below[pair].sum(), leaves[pair].sum()
    while inner[0]:
        links = np.flatnonzero(inner)
        earned = (risk[links] - below[links]) / (leaves[links] - 1)
        weakest = int(earned.argmin())
        node = int(links[weakest])
        inner[_branch(tree, node, inner)] = False
        lost, gained = leaves[node] - 1, risk[node] - below[node]
        ancestor = node
        while ancestor != LEAF:
            leaves[ancestor] -= lost
            below[ancestor] += gained
            ancestor = int(parent[ancestor])
        yield _Cut(node, float(earned[weakest]), float(below[0]))


def _parents(tree: Tree) -> NDArray[np.intp]:
    parent = np.full(tree.n_nodes, LEAF, dtype=np.intp)
    inner = np.flatnonzero(tree.feature != LEAF)
    parent[tree.left[inner]] = inner
    parent[tree.right[inner]] = inner
    return parent


def _branch(tree: Tree, root: int, inner: NDArray[np.bool_]) -> list[int]:
    """The inner nodes at and under ``root``."""
    left = tree.left
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if inner[node]:
            found.append(node)
            waiting += [int(left[node]), int(left[node]) + 1]
    return found


def _reachable(tree: Tree, masses: Floats, feature: NDArray[np.int32]) -> tuple[Tree, Floats]:
    """The nodes that are still under the root where ``feature`` says what is a leaf now."""
    kept = np.zeros(tree.n_nodes, dtype=np.bool_)
    kept[0] = True
    # Children come after their parent, so that one pass finds all.
    left = tree.left
    for node in np.flatnonzero(feature != LEAF):
        kept[left[node] : left[node] + 2] |= kept[node]
    place = kept.cumsum(dtype=np.int32) - 1
    inner = (feature != LEAF)[kept]
    threshold = tree.threshold[kept]
    threshold[~inner] = 0.0
    smaller = tree_of(feature[kept], threshold, place[left[kept]], masses[kept])
    return smaller, masses[kept]
