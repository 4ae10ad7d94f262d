"""Accuracy beside scikit-learn's on data everybody knows."""

from typing import Any

import numpy as np
import pytest

from ml_core import DecisionTreeClassifier, RandomForestClassifier

datasets: Any = pytest.importorskip("sklearn.datasets")
ensemble: Any = pytest.importorskip("sklearn.ensemble")
selection: Any = pytest.importorskip("sklearn.model_selection")
tree: Any = pytest.importorskip("sklearn.tree")

NAMES = ["iris", "wine", "breast_cancer"]


def mean_accuracies(name: str, ours: type[Any], theirs: type[Any]) -> tuple[float, float]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    scores = []
    for seed in range(3):
        parts = selection.train_test_split(x, y, test_size=0.4, random_state=seed, stratify=y)
        train_x, test_x, train_y, test_y = parts
        models = ours(random_state=seed), theirs(random_state=seed)
        scores.append([m.fit(train_x, train_y).score(test_x, test_y) for m in models])
    means = np.mean(scores, axis=0)
    return float(means[0]), float(means[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_forest_is_as_accurate_as_scikit_learns(name: str) -> None:
    ours, theirs = mean_accuracies(name, RandomForestClassifier, ensemble.RandomForestClassifier)
    assert ours == pytest.approx(theirs, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_the_tree_is_as_accurate_as_scikit_learns(name: str) -> None:
    ours, theirs = mean_accuracies(name, DecisionTreeClassifier, tree.DecisionTreeClassifier)
    assert ours == pytest.approx(theirs, abs=0.03)


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_importances_of_a_shallow_tree_are_scikit_learns(criterion: str) -> None:
    x, y = datasets.load_wine(return_X_y=True)
    limits: dict[str, Any] = {"criterion": criterion, "max_depth": 2, "random_state": 0}
    theirs = tree.DecisionTreeClassifier(**limits).fit(x, y)
    ours = DecisionTreeClassifier(**limits).fit(x, y)
    assert np.allclose(ours.feature_importances_, theirs.feature_importances_)
    assert np.allclose(ours.predict_proba(x), theirs.predict_proba(x))


def test_scikit_learns_clone_copies_the_parameters() -> None:
    model = RandomForestClassifier(7, max_features=0.5, random_state=1)
    base: Any = pytest.importorskip("sklearn.base")
    assert base.clone(model).get_params() == model.get_params()
