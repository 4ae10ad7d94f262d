"""Pruning leaves the smallest tree of least cost."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ml_core import DecisionTreeClassifier, RandomForestClassifier, Tree
from ml_core.criteria import CRITERIA
from tests.ml_core.data import clouds, counts_of_nodes

# A subtree that keeps the root: how many leaves it has, and its risk.
Option = tuple[int, float]


def every_pruning(tree: Tree, risk: Any, node: int = 0) -> Iterator[Option]:
    yield 1, float(risk[node])
    if tree.feature[node] >= 0:
        for left_leaves, left in every_pruning(tree, risk, int(tree.left[node])):
            for right_leaves, right in every_pruning(tree, risk, int(tree.right[node])):
                yield left_leaves + right_leaves, left + right


def risks(counts: Any, criterion: str) -> Any:
    return CRITERIA[criterion].impurity(counts.T) / counts[0].sum()


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_no_other_pruning_costs_less_and_of_equal_ones_it_is_the_smallest(criterion: str) -> None:
    x, y = clouds(60, 3, seed=4)
    limits: dict[str, Any] = {"criterion": criterion, "max_depth": 4, "random_state": 0}
    whole = DecisionTreeClassifier(**limits).fit(x, y).tree_
    options = list(every_pruning(whole, risks(counts_of_nodes(whole, x, y), criterion)))
    assert len(options) > 20
    for alpha in (0.003, 0.01, 0.02, 0.05, 0.1, 0.3):
        tree = DecisionTreeClassifier(**limits, ccp_alpha=alpha).fit(x, y).tree_
        risk = risks(counts_of_nodes(tree, x, y), criterion)[tree.feature < 0].sum()
        cost = float(risk) + alpha * tree.n_leaves
        costs = [(risk + alpha * leaves, leaves) for leaves, risk in options]
        least = min(cost for cost, _ in costs)
        assert cost == pytest.approx(least, rel=1e-12)
        assert tree.n_leaves == min(n for c, n in costs if math.isclose(c, least, rel_tol=1e-12))


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_the_path_and_the_trees_on_it_are_scikit_learns(criterion: str) -> None:
    theirs: Any = pytest.importorskip("sklearn.tree")
    x, y = clouds(400, 4)
    # With this seed and large leaves no two splits are equally good, and both grow the same tree.
    limits: dict[str, Any] = {"criterion": criterion, "min_samples_leaf": 15, "random_state": 0}
    path = DecisionTreeClassifier(**limits).cost_complexity_pruning_path(x, y)
    expected = theirs.DecisionTreeClassifier(**limits).cost_complexity_pruning_path(x, y)
    assert np.allclose(path.ccp_alphas, expected.ccp_alphas)
    assert np.allclose(path.impurities, expected.impurities)
    assert len(path.ccp_alphas) > 4
    for low, high in zip(path.ccp_alphas[:-1], path.ccp_alphas[1:], strict=True):
        alpha = float(low + high) / 2
        ours = DecisionTreeClassifier(**limits, ccp_alpha=alpha).fit(x, y)
        other = theirs.DecisionTreeClassifier(**limits, ccp_alpha=alpha).fit(x, y)
        assert ours.tree_.n_leaves == other.get_n_leaves()
        assert np.allclose(ours.predict_proba(x), other.predict_proba(x))


def test_a_path_leads_from_the_whole_tree_to_its_root() -> None:
    x, y = clouds(150, 4)
    model = DecisionTreeClassifier(random_state=0)
    path = model.cost_complexity_pruning_path(x, y)
    assert (path.ccp_alphas[0], path.impurities[0]) == (0.0, 0.0)
    assert (np.diff(path.ccp_alphas) >= 0).all()
    assert (np.diff(path.impurities) >= -1e-15).all()
    assert path.impurities[-1] == pytest.approx(1 - (np.bincount(y) ** 2).sum() / 150**2)
    assert not hasattr(model, "tree_")
    root = model.set_params(ccp_alpha=float(path.ccp_alphas[-1])).fit(x, y).tree_
    assert root.n_nodes == 1


def test_a_pruned_tree_is_whole() -> None:
    x, y = clouds(200, 4)
    full = DecisionTreeClassifier(random_state=0).fit(x, y).tree_
    model = DecisionTreeClassifier(random_state=0, ccp_alpha=0.01).fit(x, y)
    assert 1 < model.tree_.n_nodes < full.n_nodes
    model._forest.check(4)
    leaves = model.tree_.feature < 0
    assert (model.tree_.threshold[leaves] == 0).all()
    assert counts_of_nodes(model.tree_, x, y)[leaves].sum() == 200


def test_nothing_is_pruned_at_0_and_nothing_can_be_of_a_leaf() -> None:
    x, y = clouds(60, 3)
    assert DecisionTreeClassifier(random_state=0, ccp_alpha=0.0).fit(x, y).score(x, y) == 1.0
    assert DecisionTreeClassifier(ccp_alpha=1.0).fit([[1.0]], [0]).tree_.n_nodes == 1
    path = DecisionTreeClassifier(random_state=0).cost_complexity_pruning_path([[1.0]], [0])
    assert (path.ccp_alphas.tolist(), path.impurities.tolist()) == ([0.0], [0.0])


def test_a_deep_tree_is_pruned() -> None:
    n_rows = 1500
    x, y = np.arange(float(n_rows))[:, None], np.arange(n_rows) % 2
    model = DecisionTreeClassifier(random_state=0, ccp_alpha=0.4).fit(x, y)
    assert model.tree_.n_nodes == 1


def test_every_tree_of_a_forest_is_pruned() -> None:
    x, y = clouds(150, 4)
    full = RandomForestClassifier(5, random_state=0).fit(x, y)
    pruned = RandomForestClassifier(5, ccp_alpha=0.02, random_state=0).fit(x, y)
    for before, after in zip(full.trees_, pruned.trees_, strict=True):
        assert after.n_nodes < before.n_nodes
        assert (after.feature[0], after.threshold[0]) == (before.feature[0], before.threshold[0])


@pytest.mark.parametrize("alpha", [-0.1, np.inf, np.nan, "much", True])
def test_an_alpha_that_is_no_price_is_refused(alpha: Any) -> None:
    with pytest.raises(ValueError, match=r"^ccp_alpha must be"):
        DecisionTreeClassifier(ccp_alpha=alpha).fit([[1.0], [2.0]], [0, 1])
