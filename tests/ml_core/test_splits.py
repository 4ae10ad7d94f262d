"""Every split is the best there is."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ml_core import DecisionTreeClassifier, RandomForestClassifier, Tree
from ml_core.criteria import CRITERIA, log2
from ml_core.growing import midpoint
from tests.ml_core.data import Matrix, clouds, counts_of_nodes, same_tree

Rows = NDArray[np.intp]


def impurity(labels: NDArray[np.intp], criterion: str) -> float:
    shares = np.bincount(labels) / labels.size
    shares = shares[shares > 0]
    if criterion == "gini":
        return float(1.0 - (shares**2).sum())
    return float(-(shares * np.log2(shares)).sum())


def after_split(goes_left: NDArray[np.bool_], y: NDArray[np.intp], criterion: str) -> float:
    share = goes_left.mean()
    left, right = impurity(y[goes_left], criterion), impurity(y[~goes_left], criterion)
    return float(share * left + (1 - share) * right)


def brute_force_best(x: Matrix, y: NDArray[np.intp], criterion: str, min_leaf: int) -> float:
    best = np.inf
    for column in x.T:
        for cut in np.unique(column)[:-1]:
            goes_left = column <= cut
            if min_leaf <= goes_left.sum() <= y.size - min_leaf:
                best = min(best, after_split(goes_left, y, criterion))
    return best


def rows_of_inner_nodes(tree: Tree, x: Matrix) -> Iterator[tuple[int, Rows]]:
    waiting = [(0, np.arange(len(x)))]
    while waiting:
        node, rows = waiting.pop()
        if tree.feature[node] < 0:
            continue
        yield node, rows
        goes_left = x[rows, tree.feature[node]] <= tree.threshold[node]
        waiting.append((int(tree.left[node]), rows[goes_left]))
        waiting.append((int(tree.right[node]), rows[~goes_left]))


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "tied"])
@pytest.mark.parametrize("min_leaf", [1, 4])
@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_a_split_is_the_brute_force_optimum(criterion: str, min_leaf: int, rounded: bool) -> None:
    x, y = clouds(60, 4)
    x = x.round() if rounded else x
    model = DecisionTreeClassifier(
        random_state=0, criterion=criterion, min_samples_leaf=min_leaf
    ).fit(x, y)
    nodes = list(rows_of_inner_nodes(model.tree_, x))
    assert len(nodes) > 5
    for node, rows in nodes:
        goes_left = x[rows, model.tree_.feature[node]] <= model.tree_.threshold[node]
        found = after_split(goes_left, y[rows], criterion)
        best = brute_force_best(x[rows], y[rows], criterion, min_leaf)
        assert found == pytest.approx(best, abs=1e-12)


def test_a_threshold_is_the_midpoint_of_neighbouring_values() -> None:
    tree = DecisionTreeClassifier().fit([[1.0], [2.0], [6.0], [9.0]], [0, 0, 1, 1]).tree_
    assert tree.threshold[0] == 4.0


@pytest.mark.parametrize(
    "low",
    [1.0, np.nextafter(1.0, 2.0), 0.0, 5e-324, 1.5e-323, -5e-324, -1.0, 1e308, -1.7e308],
)
def test_adjacent_floats_are_told_apart(low: float) -> None:
    high = float(np.nextafter(low, np.inf))
    assert low <= midpoint(low, high) < high
    model = DecisionTreeClassifier().fit([[low], [high]], ["low", "high"])
    assert model.predict([[low], [high]]).tolist() == ["low", "high"]


def test_the_midpoint_of_the_largest_floats_does_not_overflow() -> None:
    largest = float(np.finfo(np.float64).max)
    assert midpoint(-largest, largest) == 0.0
    assert midpoint(largest / 2, largest) == pytest.approx(0.75 * largest)


@pytest.mark.parametrize("transform", [np.exp, lambda x: x**3, lambda x: 2.0**20 * x])
def test_a_monotone_transform_of_the_columns_keeps_the_structure(transform: np.ufunc) -> None:
    x, y = clouds(200, 5)
    # No bootstrap: only values that a tree has seen must keep to their side of a midpoint.
    forest = RandomForestClassifier(10, bootstrap=False, random_state=3)
    for model in (DecisionTreeClassifier(random_state=0), forest):
        before = model.fit(x, y)._forest
        answers = model.predict_proba(x)
        after = model.fit(transform(x), y)._forest
        for name in ("feature", "left"):
            assert np.array_equal(before.nodes[name], after.nodes[name])
        assert np.array_equal(before.shares, after.shares)
        assert np.array_equal(model.predict_proba(transform(x)), answers)


def test_a_permutation_of_the_columns_only_renames_the_features() -> None:
    # Few splits of many rows, so that no two splits are equally good and the order decides nothing.
    x, y = clouds(600, 6)
    order = np.array([3, 0, 5, 1, 4, 2])
    before = DecisionTreeClassifier(random_state=0, max_depth=3, min_samples_leaf=20).fit(x, y)
    after = DecisionTreeClassifier(random_state=0, max_depth=3, min_samples_leaf=20).fit(
        x[:, order], y
    )
    inner = before.tree_.feature >= 0
    renamed = order[after.tree_.feature[inner]]
    assert np.array_equal(before.tree_.feature[inner], renamed)
    assert np.array_equal(before.tree_.threshold, after.tree_.threshold)
    assert np.array_equal(before.predict_proba(x), after.predict_proba(x[:, order]))


@pytest.mark.parametrize("max_features", [None, 2])
def test_of_equally_good_columns_each_is_as_likely(max_features: int | None) -> None:
    # The last of the four columns alone is worse than the others, which are all alike.
    column = np.array([1.0, 2.0, 3.0, 4.0])
    x = np.stack([column, column, column, np.ones(4)], axis=1)
    limits: dict[str, Any] = {"max_features": max_features, "max_depth": 1, "bootstrap": False}
    forest = RandomForestClassifier(3_000, random_state=0, **limits).fit(x, [0, 0, 1, 1])
    taken = np.bincount([tree.feature[0] for tree in forest.trees_], minlength=4)
    assert taken.sum() == 3_000
    assert taken[3] == 0
    # Three standard deviations of a count.
    assert np.abs(taken[:3] - 1_000).max() < 3 * np.sqrt(3_000 * 1 / 3 * 2 / 3)


def test_of_equally_good_thresholds_of_a_column_the_lowest_wins() -> None:
    column = np.array([1.0, 2.0, 3.0, 4.0])
    rows = np.stack([column, column], axis=1)
    for seed in range(9):
        tree = DecisionTreeClassifier(random_state=seed).fit(rows, [0, 1, 1, 0]).tree_
        assert tree.threshold[0] == 1.5


def test_lots_are_drawn_for_ties_and_nothing_else() -> None:
    x, y = clouds(600, 6)
    limits: dict[str, Any] = {"max_depth": 3, "min_samples_leaf": 20}
    trees = [DecisionTreeClassifier(random_state=s, **limits).fit(x, y).tree_ for s in (0, 1)]
    assert same_tree(*trees)
    x[:, 3] = x[:, trees[0].feature[0]]
    roots = {DecisionTreeClassifier(random_state=s).fit(x, y).tree_.feature[0] for s in range(20)}
    assert roots == {3, trees[0].feature[0]}


def test_a_node_is_split_even_where_no_single_split_helps() -> None:
    corners, xor = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    assert DecisionTreeClassifier(random_state=0).fit(corners, xor).score(corners, xor) == 1.0


def test_impurities_agree_with_the_papers_formulas() -> None:
    counts = np.array([[9.0], [5.0]])  # Quinlan's Saturday mornings: 9 P and 5 N
    entropy, gini = (CRITERIA[name].impurity(counts) / 14 for name in ("entropy", "gini"))
    assert entropy == pytest.approx(0.940, abs=5e-4)
    assert gini == pytest.approx(1 - (9 / 14) ** 2 - (5 / 14) ** 2)


def test_log2_is_as_exact_as_the_library() -> None:
    rng = np.random.default_rng(0)
    near_one = 1.0 + rng.uniform(-0.5, 1.0, size=2000)
    numbers = np.concatenate([near_one, np.exp(rng.uniform(-700, 700, size=2000)), [5e-324, 1.0]])
    exact = np.array([math.log2(x) for x in numbers])
    assert np.abs(log2(numbers) - exact).max() <= 1e-15 * np.maximum(np.abs(exact), 1.0).max()
    assert np.allclose(log2(numbers), exact, rtol=5e-15, atol=1e-15)
    assert log2(np.array([0.5, 1.0, 2.0, 1024.0])).tolist() == [-1.0, 0.0, 1.0, 10.0]


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_a_split_of_weighed_rows_is_the_brute_force_optimum(criterion: str) -> None:
    x, y = clouds(70, 3)
    weights = np.random.default_rng(5).exponential(size=70)
    model = DecisionTreeClassifier(
        random_state=0, criterion=criterion, class_weight={0: 3, 1: 1, 2: 0.4}
    )
    tree, masses = model.fit(x, y, weights).tree_, weights * np.array([3, 1, 0.4])[y]

    def left_over(rows: Rows, goes_left: NDArray[np.bool_]) -> float:
        both = (rows[goes_left], rows[~goes_left])
        sides = [np.bincount(y[side], masses[side]).astype(np.float64) for side in both]
        impurity = CRITERIA[criterion].impurity
        return math.fsum(float(impurity(side[side > 0])) for side in sides)

    for node, rows in rows_of_inner_nodes(tree, x):
        found = left_over(rows, x[rows, tree.feature[node]] <= tree.threshold[node])
        columns = (x[rows, feature] for feature in range(3))
        every = [left_over(rows, c <= cut) for c in columns for cut in np.unique(c)[:-1]]
        assert found == pytest.approx(min(every), abs=1e-9)


@pytest.mark.parametrize("max_bins", [2, 5, 20])
def test_bins_let_no_row_cross_its_threshold(max_bins: int) -> None:
    x, y = clouds(300, 4)
    for kind in (np.float32, np.float64):
        model = DecisionTreeClassifier(random_state=0, max_bins=max_bins).fit(x.astype(kind), y)
        assert model.tree_.threshold.dtype == kind
        leaves = counts_of_nodes(model.tree_, x.astype(kind), y)[model.tree_.feature < 0]
        at = np.flatnonzero(model.tree_.feature < 0)
        assert np.array_equal(model.tree_.shares_of(at), leaves / leaves.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("low", [1.0, 0.0, 1e-45, -1e-45, 3e38, -1.0])
def test_adjacent_float32_are_told_apart(low: float) -> None:
    rows = np.array([[low], [0.0]], dtype=np.float32)
    rows[1, 0] = np.nextafter(rows[0, 0], np.float32(np.inf))
    model = DecisionTreeClassifier(random_state=0).fit(rows, ["low", "high"])
    assert model.tree_.threshold.dtype == np.float32
    assert model.predict(rows).tolist() == ["low", "high"]
