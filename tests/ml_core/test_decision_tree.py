"""The decision tree's limits, weights and degenerate inputs."""

import sys
from typing import Any

import numpy as np
import pytest

from ml_core import DecisionTreeClassifier
from ml_core.tree_classifier import MaxFeatures
from tests.ml_core.data import clouds, counts_of_nodes, same_tree


def test_a_full_tree_remembers_its_rows() -> None:
    x, y = clouds(150, 4)
    assert DecisionTreeClassifier(random_state=0).fit(x, y).score(x, y) == 1.0


def test_max_depth_limits_the_depth() -> None:
    x, y = clouds(150, 4)
    for depth in (1, 2, 4):
        assert (
            DecisionTreeClassifier(random_state=0, max_depth=depth).fit(x, y).tree_.depth == depth
        )


def test_min_samples_leaf_and_split_limit_the_nodes() -> None:
    x, y = clouds(150, 4)
    tree = (
        DecisionTreeClassifier(random_state=0, min_samples_leaf=7, min_samples_split=30)
        .fit(x, y)
        .tree_
    )
    rows = counts_of_nodes(tree, x, y).sum(axis=1)
    assert rows.min() >= 7
    assert rows[tree.feature >= 0].min() >= 30


@pytest.mark.parametrize("limit", ["min_samples_leaf", "min_samples_split"])
def test_limits_beyond_any_number_of_rows_leave_the_root(limit: str) -> None:
    x, y = clouds(50, 3)
    for rows in (2**31, 2**32, 2**62, 2**63, 10**30):
        params: dict[str, Any] = {limit: rows}
        assert DecisionTreeClassifier(**params).fit(x, y).tree_.n_nodes == 1
    assert DecisionTreeClassifier(max_depth=10**30).fit(x, y).score(x, y) == 1.0


def test_leaves_answer_with_the_shares_of_the_rows_that_reach_them() -> None:
    x, y = clouds(150, 4)
    tree = DecisionTreeClassifier(random_state=0, max_depth=4).fit(x, y).tree_
    inner = tree.feature >= 0
    counts = counts_of_nodes(tree, x, y)[~inner]
    assert np.array_equal(
        tree.shares_of(np.flatnonzero(~inner)), counts / counts.sum(axis=1, keepdims=True)
    )
    assert tree.n_leaves == tree.n_nodes - inner.sum() == inner.sum() + 1


def test_a_weight_is_the_row_repeated() -> None:
    x, y = clouds(80, 3)
    weight = np.random.default_rng(0).integers(0, 4, size=80)
    limits: dict[str, Any] = {"min_samples_leaf": 3, "min_samples_split": 9, "random_state": 0}
    weighted = DecisionTreeClassifier(**limits).fit(x, y, sample_weight=weight).tree_
    repeated = (
        DecisionTreeClassifier(**limits).fit(x.repeat(weight, axis=0), y.repeat(weight)).tree_
    )
    assert same_tree(weighted, repeated)


@pytest.mark.parametrize("weight", [[-1, 1], [0, 0], [1], [np.nan, 1], [np.inf, 1]])
def test_a_weight_that_weighs_nothing_sensible_is_refused(weight: list[float]) -> None:
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        DecisionTreeClassifier().fit([[1.0], [2.0]], [0, 1], sample_weight=weight)


def test_one_class_gives_one_leaf_that_is_sure() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0]], ["a", "a"])
    assert model.tree_.n_nodes == 1
    assert model.predict_proba([[9.0]]).tolist() == [[1.0]]
    assert model.predict([[9.0]]).tolist() == ["a"]
    assert model.feature_importances_.tolist() == [0.0]


def test_one_row_is_enough() -> None:
    assert DecisionTreeClassifier().fit([[1.0, 2.0]], [7]).predict([[0.0, 0.0]]).tolist() == [7]


def test_constant_columns_give_one_leaf_with_the_shares_of_the_classes() -> None:
    model = DecisionTreeClassifier(random_state=0).fit(np.ones((4, 2)), [0, 1, 1, 1])
    assert model.tree_.n_nodes == 1
    assert model.predict_proba([[1.0, 1.0]]).tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("seed", range(5))
def test_the_draw_goes_on_past_constant_columns(seed: int) -> None:
    x = np.zeros((6, 8))
    x[:, 5] = range(6)
    model = DecisionTreeClassifier(max_features=1, random_state=seed)
    assert model.fit(x, [0, 0, 0, 1, 1, 1]).tree_.feature.tolist() == [5, -1, -1]


def test_the_draw_does_not_go_on_past_a_column_that_varies() -> None:
    # Column 0 varies, but its only cut leaves one row alone; column 1 could be cut in the middle.
    x = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    trees = [
        DecisionTreeClassifier(max_features=1, min_samples_leaf=2, random_state=seed)
        .fit(x, [0, 0, 1, 1])
        .tree_
        for seed in range(20)
    ]
    assert {tree.n_nodes for tree in trees} == {1, 3}


def test_a_tree_deeper_than_the_recursion_limit_is_grown() -> None:
    n_rows = sys.getrecursionlimit() + 200
    x, y = np.arange(float(n_rows))[:, None], np.arange(n_rows) % 2
    model = DecisionTreeClassifier(random_state=0).fit(x, y)
    assert model.tree_.depth > sys.getrecursionlimit()
    assert model.score(x, y) == 1.0


def test_importances_sum_to_one_and_find_the_feature_that_matters() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4))
    importances = DecisionTreeClassifier(random_state=0).fit(x, x[:, 2] > 0).feature_importances_
    assert importances.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert DecisionTreeClassifier(random_state=0).fit(
        x, rng.integers(2, size=300)
    ).feature_importances_.sum() == (pytest.approx(1.0))


@pytest.mark.parametrize(
    ("max_features", "expected"),
    [("sqrt", 3), ("log2", 3), (4, 4), (99, 10), (0.25, 2), (0.01, 1), (1.0, 10), (None, 10)],
)
def test_max_features_means_so_many_columns(max_features: MaxFeatures, expected: int) -> None:
    model = DecisionTreeClassifier(random_state=0, max_features=max_features)
    assert model._rules(n_features=10).features_per_node == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("criterion", "mse"),
        ("criterion", ["gini"]),
        ("max_depth", 0),
        ("max_depth", 2.5),
        ("min_samples_split", 1),
        ("min_samples_leaf", 0),
        ("min_samples_leaf", True),
        ("max_features", "all"),
        ("max_features", 0),
        ("max_features", 1.5),
        ("max_features", True),
        ("max_features", [1]),
        ("random_state", -1),
        ("random_state", "seed"),
        ("max_bins", 1),
        ("min_weight_fraction_leaf", 0.6),
        ("min_weight_fraction_leaf", -0.1),
        ("max_bins", 65_536),
        ("max_bins", "many"),
        ("max_bins", True),
        ("class_weight", "subsample"),
        ("class_weight", "balanced_subsample"),
        ("class_weight", 2),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, value: object) -> None:
    model = DecisionTreeClassifier(random_state=0).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"^{name} must be"):
        model.fit([[1.0], [2.0]], [0, 1])


def test_a_tree_is_written_as_scikit_learn_writes_it() -> None:
    theirs: Any = pytest.importorskip("sklearn.tree")
    x, y = clouds(200, 3)
    limits: dict[str, Any] = {"max_depth": 3, "min_samples_leaf": 15, "random_state": 0}
    model = DecisionTreeClassifier(**limits).fit(x, y)
    other = theirs.DecisionTreeClassifier(**limits).fit(x, y)
    assert model.export_text() == theirs.export_text(other)
    names = ["length", "width", "height"]
    assert model.export_text(feature_names=names, decimals=4) == theirs.export_text(
        other, feature_names=names, decimals=4
    )


def test_the_text_names_columns_and_labels() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0], [8.0]], ["low", "low", "high"])
    assert model.export_text(feature_names=["size"], decimals=0) == (
        "|--- size <= 5\n|   |--- class: low\n|--- size >  5\n|   |--- class: high\n"
    )
    assert DecisionTreeClassifier().fit([[1.0]], ["only"]).export_text() == "|--- class: only\n"
    with pytest.raises(ValueError, match="feature_names must contain 1 elements, got 2"):
        model.export_text(feature_names=["a", "b"])
    with pytest.raises(ValueError, match="decimals must be"):
        model.export_text(decimals=-1)


def test_a_tree_deeper_than_the_recursion_limit_is_written() -> None:
    n_rows = sys.getrecursionlimit() + 200
    x, y = np.arange(float(n_rows))[:, None], np.arange(n_rows) % 2
    model = DecisionTreeClassifier(random_state=0).fit(x, y)
    assert model.export_text().count("class: ") == model.tree_.n_leaves


def test_shuffling_a_feature_that_matters_costs_accuracy() -> None:
    x = np.random.default_rng(3).normal(size=(300, 3))
    model = DecisionTreeClassifier(random_state=0).fit(x, x[:, 1] > 0)
    before = x.copy()
    lost = model.permutation_importances(x, x[:, 1] > 0, n_repeats=4, random_state=0)
    assert lost.shape == (3, 4)
    assert (lost[[0, 2]] == 0).all()
    # Half of the shuffled rows keep the sign of what they had.
    assert lost[1].mean() == pytest.approx(0.5, abs=0.05)
    again = model.permutation_importances(x, x[:, 1] > 0, n_repeats=4, random_state=0)
    assert np.array_equal(lost, again)
    assert np.array_equal(x, before)
    with pytest.raises(ValueError, match="n_repeats must be"):
        model.permutation_importances(x, x[:, 1] > 0, n_repeats=0)
