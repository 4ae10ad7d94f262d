"""What is served as arrays, and as ONNX, answers as the library that trained it."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from astralytiq.engines.models import compiled
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.compiled import Compiled, Tree, boosted

# Each probability or number as its own library gives it.
Theirs = Callable[[Any, NDArray[np.float64]], NDArray[Any]]


def of_scikit(source: Any, rows: NDArray[np.float64]) -> NDArray[Any]:
    answer = getattr(source, "predict_proba", source.predict)
    return np.asarray(answer(rows))


def of_xgboost(source: bytes, rows: NDArray[np.float64]) -> NDArray[Any]:
    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(source))
    found = booster.predict(xgboost.DMatrix(rows, nthread=1))
    of_two = found.ndim == 1 and '"classes":null' not in str(booster.attr("astralytiq"))
    return np.stack([1 - found, found], axis=1) if of_two else found


SMALL = {"n_estimators": 4, "max_depth": 3}
OTHERS: dict[str, tuple[Theirs, dict[str, Any], float]] = {
    "gradient_boosting": (of_scikit, SMALL, 1e-12),
    "gradient_boosting_regressor": (of_scikit, SMALL, 1e-12),
    "linear_regression": (of_scikit, {}, 1e-12),
    "logistic_regression": (of_scikit, {}, 1e-12),
    "ridge_regression": (of_scikit, {}, 1e-12),
    "xgboost": (of_xgboost, SMALL, 1e-5),
    "xgboost_regressor": (of_xgboost, SMALL, 1e-5),
}
every_compiled = pytest.mark.parametrize("name", sorted(OTHERS))


def ignore(done: int, total: int) -> None: ...


def example(name: str, seed: int, classes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Some columns repeat few values, so that rows lie just at thresholds; some are far from 0."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(60, 4)) * [1, 100, 1e-3, 1] + [0, 1e4, 0, 0]
    features[:, 3] = rng.integers(0, 4, size=60) / 10
    numbers = features @ [1.0, 0.02, 300.0, 2.0] + rng.normal(size=60)
    if ALGORITHMS[name].task == "regression":
        return features, numbers
    cuts = np.quantile(numbers, np.linspace(0, 1, classes + 1)[1:-1])
    return features, np.array(["ant", "bee", "cow", "dog"])[np.digitize(numbers, cuts)]


def trained(name: str, seed: int, classes: int) -> tuple[Compiled, NDArray[Any]]:
    features, target = example(name, seed, classes)
    model = adapter_of(name).train(features, target, OTHERS[name][1], seed, ignore)
    assert isinstance(model, Compiled)
    return model, features


def answered(model: Compiled, rows: NDArray[Any]) -> NDArray[np.float64]:
    return model.predict(rows) if model.classes_ is None else model.predict_proba(rows)


random_models = given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))


@every_compiled
@settings(max_examples=8, deadline=None)
@random_models
def test_answers_are_those_of_the_library_that_trained_it(
    name: str, seed: int, classes: int
) -> None:
    model, rows = trained(name, seed, classes)
    theirs, _, tolerance = OTHERS[name]
    wanted = theirs(model.source, rows)
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(answered(model, rows) - wanted).max() < tolerance * scale


@every_compiled
@settings(max_examples=8, deadline=None)
@random_models
def test_the_onnx_form_answers_alike(name: str, seed: int, classes: int) -> None:
    model, features = trained(name, seed, classes)
    session = onnxruntime.InferenceSession(model.to_onnx(), providers=["CPUExecutionProvider"])
    single = session.get_inputs()[0].type == "tensor(float)"
    rows = features.astype(np.float32) if single else features
    wanted = answered(model, rows)
    found = session.run(None, {"X": rows})
    scale = max(1.0, float(np.abs(wanted).max()))
    assert np.abs(found[-1] - wanted).max() < (2e-6 if single else 1e-12) * scale
    if model.classes_ is not None:
        first, second = np.sort(wanted, axis=1)[:, -1], np.sort(wanted, axis=1)[:, -2]
        same = found[0] == model.classes_[wanted.argmax(axis=1)]
        assert (same | (first - second < 1e-5)).all()


@every_compiled
def test_numbers_beyond_float32_get_an_answer_and_no_complaint(name: str) -> None:
    model, rows = trained(name, 1, 3)
    far = rows.copy()
    far[0], far[1] = 1e300, -1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(answered(model, far)).all()


@every_compiled
def test_one_row_gets_the_answer_it_gets_among_many(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = trained(name, 2, 3)
    monkeypatch.setattr(compiled, "MOST_PAIRS", 30)
    together = answered(model, rows)
    assert len(together) == len(rows)
    assert np.allclose([answered(model, row[None])[0] for row in rows], together, atol=1e-14)


def leaf(value: float) -> Tree:
    return tree([-1], [-1], [0], [value])


def tree(left: list[int], right: list[int], feature: list[int], number: list[float]) -> Tree:
    return Tree(np.array(left), np.array(right), np.array(feature), np.array(number))


def test_a_tree_of_one_leaf_is_a_tree() -> None:
    made = boosted([[leaf(2.0), leaf(0.5)]], np.array([1.0]), 1)
    assert made.of([[0.0], [7.0]]).tolist() == [[3.5], [3.5]]
    assert made.of(np.empty((0, 1))).shape == (0, 1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (tree([1, -1], [5, -1], [0, 0], [0.0, 0.0]), "behind their parents"),
        (tree([0, -1, -1], [2, -1, -1], [0, 0, 0], [0.0] * 3), "behind their parents"),
        (tree([1, -1, -1], [1, -1, -1], [0, 0, 0], [0.0] * 3), "several parents"),
        (tree([-1, 2, -1, -1], [-1, 3, -1, -1], [0] * 4, [0.0] * 4), "do not form trees"),
        (tree([1, -1, -1], [2, -1, -1], [7, 0, 0], [0.0] * 3), "features"),
        (tree([1, -1, -1], [2, -1, -1], [-1, 0, 0], [0.0] * 3), "features"),
        (tree([1, -1, -1], [2, -1, -1], [0, 0], [0.0] * 3), "lack something"),
        (tree([], [], [], []), "lack something"),
        (leaf(float("nan")), "finite"),
    ],
)
def test_23_what_could_not_be_walked_safely_is_refused(wrong: Tree, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        boosted([[wrong]], np.zeros(1), 2)


def test_23_outputs_without_trees_and_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="no trees"):
        boosted([[leaf(1.0)], []], np.zeros(2), 2)
    with pytest.raises(ValueError, match="2 features"):
        boosted([[leaf(1.0)]], np.zeros(1), 2).of([[1.0]])
