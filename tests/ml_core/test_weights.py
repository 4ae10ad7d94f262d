"""Weights of rows and classes: whole, fractional, of any size."""

from typing import Any

import numpy as np
import pytest

from ml_core import DecisionTreeClassifier, RandomForestClassifier, dumps, loads
from ml_core.weights import class_scales, fixed_point
from tests.ml_core.data import clouds, same_tree

MODELS = [DecisionTreeClassifier(random_state=0), RandomForestClassifier(4, random_state=0)]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def test_whole_weights_stay_as_they_are_and_fractions_keep_their_proportions() -> None:
    assert fixed_point(np.array([0.0, 3.0, 7.0])).tolist() == [0, 3, 7]
    for scale in (1e-300, 1.0, 1e300):
        fixed = fixed_point(np.array([0.25, 0.5, 1.75]) * scale)
        assert fixed.sum() < 2**52
        assert np.allclose(fixed / fixed.sum(), [0.1, 0.2, 0.7], rtol=1e-14)


def test_a_weight_too_small_beside_the_others_is_refused() -> None:
    with pytest.raises(ValueError, match="sample_weight has a positive number below"):
        DecisionTreeClassifier().fit([[1.0], [2.0]], [0, 1], sample_weight=[1e-20, 0.5])


@each_model
def test_weights_times_a_power_of_two_give_the_same_model(model: Any) -> None:
    x, y = clouds(80, 3)
    weights = np.random.default_rng(0).exponential(size=80)
    first = dumps(model.fit(x, y, sample_weight=weights))
    assert first == dumps(model.fit(x, y, sample_weight=weights * 2.0**-200))
    assert first != dumps(model.fit(x, y))


@each_model
@pytest.mark.parametrize("weight", [1e308, 5e-324])
def test_weights_at_the_ends_of_float64_weigh_alike(model: Any, weight: float) -> None:
    x, y = clouds(80, 3)
    weights = np.where(np.arange(80) % 2, weight, 0.0)
    fitted = model.fit(x, y, weights)
    assert fitted.score(x, y, weights) == fitted.score(x[1::2], y[1::2])
    assert fitted.predict_proba(x).sum() == pytest.approx(80)


@each_model
def test_rows_without_weight_are_as_if_they_were_not_there(model: Any) -> None:
    x, y = clouds(80, 3)
    weights = np.random.default_rng(0).exponential(size=80) * (np.arange(80) % 3 > 0)
    with_them = dumps(model.fit(x, y, sample_weight=weights))
    kept = weights > 0
    assert with_them == dumps(model.fit(x[kept], y[kept], sample_weight=weights[kept]))


def test_fractional_weights_weigh_rows_but_do_not_count_them() -> None:
    model = DecisionTreeClassifier(random_state=0, min_samples_leaf=2)
    tree = model.fit([[1.0], [2.0], [3.0], [4.0]], [0, 0, 1, 0], sample_weight=[9.5, 9, 9, 9]).tree_
    assert tree.n_leaves == 2
    assert tree.threshold[0] == 2.5
    assert model.predict_proba([[4.0]]).tolist() == [[0.5, 0.5]]


def test_a_fractional_bootstrap_draws_heavy_rows_more_often() -> None:
    x, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    model = RandomForestClassifier(4000, random_state=0)
    shares = model.fit(x, y, sample_weight=[0.25, 0.75]).predict_proba([[0.5], [1.0]])
    # Of two draws none is row 0 with probability 9/16, none row 1 with 1/16.
    assert shares[1, 1] == pytest.approx(15 / 16, abs=0.02)
    assert shares[0, 0] == pytest.approx(7 / 16, abs=0.03)


def test_a_class_weight_is_that_weight_for_every_row_of_the_class() -> None:
    x, y = clouds(150, 3)
    limits: dict[str, Any] = {"max_depth": 4, "min_samples_leaf": 5, "random_state": 0}
    by_class = DecisionTreeClassifier(class_weight={0: 2, 1: 5}, **limits).fit(x, y).tree_
    # Weights of 2.5 times as much would count rows more often: these are fractional on purpose.
    by_row = DecisionTreeClassifier(**limits).fit(x, y, np.array([1.0, 2.5, 0.5])[y]).tree_
    assert np.array_equal(by_class.nodes, by_row.nodes)
    assert np.allclose(by_class.shares, by_row.shares, rtol=1e-14)


def test_balanced_classes_weigh_the_same() -> None:
    scales = class_scales("balanced", np.array([0, 1, 2]), np.array([10, 30, 5]))
    assert scales is not None
    weighed = scales * [10, 30, 5]
    assert np.allclose(weighed, weighed[0])
    model = DecisionTreeClassifier(random_state=0, class_weight="balanced")
    assert np.allclose(model.fit(np.ones((4, 1)), [0, 1, 1, 1]).predict_proba([[1.0]]), 0.5)


@pytest.mark.parametrize("kind", ["whole", "fractional"])
def test_balanced_classes_weigh_the_same_whatever_their_rows_weigh(kind: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 5, size=50) if kind == "whole" else rng.exponential(size=50)
    y = (np.arange(50) < 12).astype(int)
    model = DecisionTreeClassifier(class_weight="balanced").fit(np.ones((50, 1)), y, weights)
    assert np.allclose(model.predict_proba([[1.0]]), 0.5)


@pytest.mark.parametrize("weight", ["balanced", {0: 3.0, 2: 0.25}])
def test_class_weights_agree_with_scikit_learns(weight: Any) -> None:
    theirs: Any = pytest.importorskip("sklearn.tree")
    x, y = clouds(400, 3)
    limits: dict[str, Any] = {
        "max_depth": 3,
        "min_samples_leaf": 15,
        "class_weight": weight,
        "random_state": 0,
    }
    limits["min_weight_fraction_leaf"] = 0.05
    ours = DecisionTreeClassifier(**limits).fit(x, y)
    other = theirs.DecisionTreeClassifier(**limits).fit(x, y)
    assert ours.tree_.n_nodes == other.tree_.node_count
    assert np.allclose(ours.predict_proba(x), other.predict_proba(x))


def test_subsamples_are_balanced_one_by_one() -> None:
    x, y = clouds(60, 3)
    models = [
        RandomForestClassifier(5, class_weight=weight, max_depth=2, random_state=0).fit(x, y)
        for weight in ("balanced", "balanced_subsample")
    ]
    first, second = (model.trees_ for model in models)
    assert not all(same_tree(one, other) for one, other in zip(first, second, strict=True))


def test_a_class_without_weight_is_not_seen() -> None:
    x, y = clouds(90, 3)
    model = DecisionTreeClassifier(random_state=0, class_weight={0: 1, 1: 1, 2: 0}).fit(x, y)
    assert 2 not in model.predict(x)
    others = DecisionTreeClassifier(random_state=0).fit(x[y < 2], y[y < 2])
    assert np.array_equal(model.predict(x), others.predict(x))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ({0: 1, 5: 2}, r"The classes, \[1\], are not in class_weight"),
        ({0: -1}, "class_weight must hold finite numbers"),
        ({0: "heavy"}, "class_weight must hold finite numbers"),
        ({0: 0, 1: 0}, "at least one non-zero"),
    ],
)
def test_class_weights_that_make_no_sense_are_refused(weight: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DecisionTreeClassifier(class_weight=weight).fit([[1.0], [2.0]], [0, 1])


@pytest.mark.parametrize("weight", ["balanced", {0: 2, 1: 0.5}, {"a": 1.5, "b": 2}])
def test_a_class_weight_survives_in_a_file(weight: Any) -> None:
    labels = ["a", "b"] if isinstance(weight, dict) and "a" in weight else [0, 1]
    model = DecisionTreeClassifier(class_weight=weight).fit([[1.0], [2.0]], labels)
    copy: Any = loads(dumps(model))
    assert copy.class_weight == weight
    assert dumps(copy) == dumps(model)


def test_least_weight_of_a_leaf_is_a_share_of_all() -> None:
    x, y = clouds(200, 3)
    weights = np.random.default_rng(1).exponential(size=200)
    tree = (
        DecisionTreeClassifier(random_state=0, min_weight_fraction_leaf=0.1)
        .fit(x, y, weights)
        .tree_
    )
    leaf = np.zeros(200, dtype=int)
    while (inner := tree.feature[leaf] >= 0).any():
        goes_left = x[np.arange(200), tree.feature[leaf]] <= tree.threshold[leaf]
        leaf = np.where(inner, np.where(goes_left, tree.left[leaf], tree.right[leaf]), leaf)
    held = np.bincount(leaf, weights)[np.unique(leaf)]
    assert held.min() >= 0.1 * weights.sum() * (1 - 1e-12)
    assert held.size > 3
