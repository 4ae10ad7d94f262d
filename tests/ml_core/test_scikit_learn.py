"""The estimators keep scikit-learn's conventions, as scikit-learn's own checks see them."""

import copy
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ml_core
from ml_core import DecisionTreeClassifier, KMeans, RandomForestClassifier
from ml_core.conventions import ConvergenceWarning, NotFittedError, as_theirs
from tests.ml_core.data import clouds

checks: Any = pytest.importorskip("sklearn.utils.estimator_checks")
exceptions: Any = pytest.importorskip("sklearn.exceptions")
selection: Any = pytest.importorskip("sklearn.model_selection")
pipeline: Any = pytest.importorskip("sklearn.pipeline")
preprocessing: Any = pytest.importorskip("sklearn.preprocessing")

# scikit-learn says the same of its own classes: chance falls on other rows in another order.
WEIGHT = "check_sample_weight_equivalence_on_dense_data"
WHY = "draws depend on the order of the rows"
EXPECTED_FAILURES = {"KMeans": {WEIGHT: WHY}, "RandomForestClassifier": {WEIGHT: WHY}}


def failures_expected_of(estimator: Any) -> dict[str, str]:
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


with warnings.catch_warnings():
    # It would rather see its own base class; the checks are about what the class does.
    warnings.filterwarnings("ignore", "Estimator .* does not inherit from")
    of_each: pytest.MarkDecorator = checks.parametrize_with_checks(
        [KMeans(), DecisionTreeClassifier(), RandomForestClassifier(5)],
        expected_failed_checks=failures_expected_of,
    )
    # Older ones collect the checks only here.
    names, all_checks = of_each.args
    each_check = pytest.mark.parametrize(names, list(all_checks), **of_each.kwargs)


@pytest.mark.filterwarnings("ignore")
@each_check
def test_scikit_learns_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_a_pipeline_clusters_scaled_rows() -> None:
    x, _ = clouds(60, 3)
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), KMeans(3, random_state=0))
    labels = steps.fit_predict(x)
    scaled = preprocessing.StandardScaler().fit_transform(x)
    assert np.array_equal(labels, KMeans(3, random_state=0).fit(scaled).labels_)
    assert steps.transform(x).shape == (60, 3)
    assert steps.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]


def test_a_pipeline_gives_data_frames_where_asked_to() -> None:
    pandas: Any = pytest.importorskip("pandas")
    x, _ = clouds(30, 3)
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), KMeans(2, random_state=0))
    frame = pandas.DataFrame(x, columns=list("abc"), index=range(5, 35))
    found = steps.set_output(transform="pandas").fit(frame).transform(frame[:4])
    assert found.columns.tolist() == ["kmeans0", "kmeans1"]
    assert found.index.tolist() == [5, 6, 7, 8]
    plain = KMeans(2, random_state=0).set_output(transform="default").fit(frame).transform(frame)
    assert isinstance(plain, np.ndarray)


def test_clusters_serve_as_features_in_a_search() -> None:
    x, y = clouds(90, 4)
    steps = pipeline.Pipeline(
        [("near", KMeans(random_state=0)), ("tree", DecisionTreeClassifier())]
    )
    grid = {"near__n_clusters": [2, 6], "tree__max_depth": [2, None]}
    search = selection.GridSearchCV(steps, grid, cv=3).fit(x, y)
    assert search.best_score_ > 0.5
    assert search.predict(x).shape == (90,)


def test_a_forest_is_cross_validated() -> None:
    x, y = clouds(90, 4)
    scores = selection.cross_val_score(RandomForestClassifier(5, random_state=0), x, y, cv=3)
    assert scores.min() > 0.5


def test_an_error_is_ours_and_theirs_and_travels_between_processes() -> None:
    with pytest.raises(exceptions.NotFittedError) as caught:
        KMeans(2).predict([[1.0]])
    assert isinstance(caught.value, ml_core.NotFittedError)
    # What a copy is made from is also what another process would get.
    copied = copy.copy(caught.value)
    assert type(copied) is NotFittedError
    assert copied.args == caught.value.args
    assert issubclass(as_theirs(ConvergenceWarning), exceptions.ConvergenceWarning)


def test_without_scikit_learn_the_error_is_only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sklearn.exceptions")
    assert as_theirs(NotFittedError) is NotFittedError


class Frame:
    """As much of a data frame as the estimators look at."""

    def __init__(self, values: Any, columns: list[Any]) -> None:
        self.values, self.columns = np.asarray(values), columns
        self.shape = self.values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values.astype(dtype or self.values.dtype)

    def __len__(self) -> int:
        return len(self.values)


MODELS = [KMeans(2, random_state=0), DecisionTreeClassifier(), RandomForestClassifier(3)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_names_of_columns_are_kept_and_compared(model: Any) -> None:
    x = np.array([[1.0, 5.0], [2.0, 6.0], [8.0, 1.0], [9.0, 2.0]])
    model.fit(Frame(x, ["a", "b"]), [0, 0, 1, 1])
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert model.predict(Frame(x, ["a", "b"])).shape == (4,)
    assert ml_core.loads(ml_core.dumps(model)).feature_names_in_.tolist() == ["a", "b"]
    with pytest.warns(UserWarning, match="X does not have valid feature names, but"):
        model.predict(x)
    with pytest.raises(
        ValueError, match=r"unseen at fit time:\n- c\nFeature names seen .*:\n- b\n"
    ):
        model.predict(Frame(x, ["a", "c"]))
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(Frame(x, ["b", "a"]))
    with pytest.raises(TypeError, match="all input features have string names"):
        model.fit(Frame(x, ["a", 1]), [0, 0, 1, 1])
    model.fit(x, [0, 0, 1, 1])
    assert not hasattr(model, "feature_names_in_")
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        model.predict(Frame(x, ["a", "b"]))


@pytest.mark.parametrize("names", ["ab", ["a"], ["a", 2], {"a": 1}])
def test_forged_names_are_refused(names: Any) -> None:
    model = DecisionTreeClassifier().fit([[1.0, 2.0], [2.0, 3.0]], [0, 1])
    model.feature_names_in_ = np.array(names, dtype=object)
    with pytest.raises(ValueError, match=r"feature names|does not name as many"):
        ml_core.loads(ml_core.dumps(model))


def test_sparse_rows_are_refused() -> None:
    sparse: Any = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="Sparse data was passed"):
        KMeans(1).fit(sparse.csr_matrix(np.eye(3)))
