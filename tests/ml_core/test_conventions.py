"""Both classes behave as scikit-learn's users expect."""

import doctest
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import ml_core
from ml_core import (
    DataConversionWarning,
    DecisionTreeClassifier,
    NotFittedError,
    RandomForestClassifier,
)
from ml_core import decision_tree as decision_tree_module
from ml_core import kmeans_estimator as kmeans_module
from ml_core import random_forest as random_forest_module
from ml_core.validation import check_X
from tests.ml_core.data import clouds

Model = DecisionTreeClassifier | RandomForestClassifier


@pytest.fixture(params=[DecisionTreeClassifier, RandomForestClassifier])
def model(request: pytest.FixtureRequest) -> Model:
    made: Model = request.param(random_state=0)
    if isinstance(made, RandomForestClassifier):
        made.set_params(n_estimators=5)
    return made


def test_init_only_stores_its_parameters(model: Model) -> None:
    assert vars(model) == model.get_params()


def test_get_and_set_params_are_inverse(model: Model) -> None:
    params: dict[str, Any] = {**model.get_params(), "max_depth": 3, "criterion": "entropy"}
    assert model.set_params(**params) is model
    assert type(model)(**model.get_params()).get_params() == params


def test_an_unknown_parameter_changes_nothing(model: Model) -> None:
    with pytest.raises(ValueError, match="Invalid parameter 'depth' for estimator"):
        model.set_params(max_depth=9, depth=3)
    assert model.max_depth is None


def test_repr_shows_the_parameters() -> None:
    shown = repr(DecisionTreeClassifier(max_depth=3))
    assert shown.startswith(
        "DecisionTreeClassifier(ccp_alpha=0.0, class_weight=None, criterion='gini',"
    )


def test_fit_returns_the_estimator_and_leaves_its_inputs_alone(model: Model) -> None:
    x, y = clouds(30, 4)
    kept = x.copy(), y.copy()
    assert model.fit(x, y) is model
    assert model.n_features_in_ == 4
    assert np.array_equal(x, kept[0])
    assert np.array_equal(y, kept[1])


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"],
        np.array(["no", "yes"], dtype=object),
        np.array(["no", "yes"], dtype="<U30"),
        [-3, 12],
        np.array([2, 7], dtype=np.uint8),
        [1.0, 2.0],
        [False, True],
    ],
    ids=["text", "object", "wide", "int", "uint8", "float", "bool"],
)
def test_labels_come_back_as_they_were_given(model: Model, labels: Any) -> None:
    y = np.asarray(labels)[[0, 1, 0, 1]]
    model.fit([[1.0], [8.0], [2.0], [9.0]], y)
    assert model.classes_.tolist() == list(labels)
    assert set(model.predict([[1.5], [8.5]]).tolist()) <= set(labels)
    assert model.score([[1.0], [8.0], [2.0], [9.0]], y) >= 0.5


def test_columns_of_probabilities_follow_the_sorted_classes() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0]], ["z", "a"])
    assert model.classes_.tolist() == ["a", "z"]
    assert model.predict_proba([[1.0]]).tolist() == [[0.0, 1.0]]


def test_score_can_be_weighted() -> None:
    model = DecisionTreeClassifier().fit([[1.0], [2.0]], [0, 1])
    assert model.score([[1.0], [2.0]], [0, 0]) == 0.5
    assert model.score([[1.0], [2.0]], [0, 0], sample_weight=[3, 1]) == 0.75


def test_score_takes_labels_in_one_column_but_no_other_number_of_them(model: Model) -> None:
    x, y = clouds(60, 2)
    model.fit(x, y)
    wrong = np.where(np.arange(60) < 15, 3, y)
    assert model.score(x, wrong[:, None]) == model.score(x, wrong) < 0.76
    for few in (y[:-1], y[:1]):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, \d+\]"):
            model.score(x, few)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model.permutation_importances(x, few)


@pytest.mark.parametrize(
    ("y", "weights", "words"),
    [
        (["0", "1"], None, "Mix of label input types"),
        (None, None, "got None"),
        ([0, 1], [1.0, -1.0], "Negative values"),
        ([0, 1], [0.0, 0.0], "at least one non-zero"),
        ([0, 1], [1.0], r"sample_weight.shape == \(1,\)"),
    ],
)
def test_a_score_that_would_say_nothing_is_refused(
    model: Model, y: Any, weights: Any, words: str
) -> None:
    x = [[1.0], [2.0]]
    model.fit(x, [0, 1])
    with pytest.raises(ValueError, match=words):
        model.score(x, y, sample_weight=weights)


@pytest.mark.parametrize("what", ["predict", "predict_proba"])
def test_predicting_before_fit_is_refused(model: Model, what: str) -> None:
    with pytest.raises(NotFittedError, match=f"This {type(model).__name__} instance is not fitted"):
        getattr(model, what)([[1.0]])
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)


def test_the_trees_of_an_unfitted_model_do_not_exist() -> None:
    assert not hasattr(DecisionTreeClassifier(), "tree_")
    assert not hasattr(RandomForestClassifier(), "trees_")


def test_another_number_of_features_is_refused() -> None:
    x, y = clouds(20, 4)
    model = RandomForestClassifier(2).fit(x, y)
    words = "X has 3 features, but RandomForestClassifier is expecting 4 features as input."
    with pytest.raises(ValueError, match=words):
        model.predict(x[:, :3])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([[1.0], [np.nan]], r"Input X contains NaN\."),
        ([[1.0], [np.inf]], "Input X contains infinity or a value too large"),
        ([[1.0], [-np.inf]], "Input X contains infinity or a value too large"),
        ([1.0, 2.0], "Expected 2D array, got 1D array instead"),
        ([[[1.0]], [[2.0]]], "Found array with dim 3, while dim <= 2 is required"),
        (np.empty((0, 3)), "Found array with 0 sample"),
        (np.empty((2, 0)), "Found array with 0 feature"),
        ([[1.0 + 2.0j], [1.0]], "Complex data not supported"),
        ([["a"], ["b"]], "could not convert string to float"),
        ([[1.0], [2.0], [3.0]], r"inconsistent numbers of samples: \[3, 2\]"),
    ],
)
def test_rows_that_are_no_numbers_are_refused(model: Model, x: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.fit(x, [0, 1])


def test_rows_out_of_packed_records_are_moved_to_their_places(model: Model) -> None:
    x, y = clouds(60, 3)
    records = np.zeros(60, dtype=[("mark", "u1"), ("values", "f8", (3,))])
    records["values"] = x
    assert not records["values"].flags.aligned
    checked = check_X(records["values"])
    assert checked.flags.aligned
    assert np.array_equal(checked, x)
    packed = model.fit(records["values"], y).predict_proba(records["values"])
    assert np.array_equal(packed, model.fit(x, y).predict_proba(x))


def test_nan_is_refused_when_predicting_too(model: Model) -> None:
    model.fit([[1.0], [2.0]], [0, 1])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict([[np.nan]])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0.5, 1.0], "Unknown label type: continuous"),
        ([np.nan, 1.0], "Input y contains NaN"),
        ([[0, 1], [1, 0]], "y should be a 1d array"),
        (None, "Expected array-like .* got None"),
        (np.array(["a", 1], dtype=object), "only strings or only numbers"),
        (np.array([None, None]), "Unknown label type"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"), "Unknown label type"),
    ],
)
def test_labels_that_are_no_classes_are_refused(model: Model, y: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        model.fit([[1.0], [2.0]], y)


def test_labels_in_one_column_are_taken_with_a_warning(model: Model) -> None:
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        model.fit([[1.0], [2.0]], [[0], [1]])
    assert model.classes_.tolist() == [0, 1]


def test_importing_the_package_loads_neither_numpy_nor_scikit_learn() -> None:
    code = "import sys, ml_core; sys.exit(bool({'numpy', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_using_the_package_loads_nothing_but_numpy() -> None:
    code = (
        "import sys, ml_core; ml_core.dumps(ml_core.RandomForestClassifier(1).fit([[1]], [0]));"
        "sys.exit(bool({'sklearn', 'scipy', 'pandas', 'astralytiq'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_short_names_are_the_same_classes() -> None:
    assert ml_core.DecisionTree is DecisionTreeClassifier
    assert ml_core.RandomForest is RandomForestClassifier


def test_every_public_name_is_there_and_no_other() -> None:
    for name in ml_core.__all__:
        assert getattr(ml_core, name).__name__ in (name, f"{name}Classifier")
        assert name in dir(ml_core)
    with pytest.raises(AttributeError, match="has no attribute 'Forrest'"):
        _ = ml_core.Forrest


@pytest.mark.parametrize("module", [decision_tree_module, kmeans_module, random_forest_module])
def test_the_examples_in_the_docstrings_are_true(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
