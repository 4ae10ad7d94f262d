"""What is peculiar to models of scikit-learn and to their files."""

import io
import json
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from astralytiq.engines.models import catalogue, contract, skopsfile
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import BadTraining, MissingExtra, completed, status_of

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(90, 3)) * [1, 100, 0.01] + [0, 1000, 0]
NUMBERS = FEATURES @ [1.0, 0.05, 0.0] + RNG.normal(size=90) * 0.1
CLASSES = np.array(["a", "b", "c"])[np.digitize(FEATURES[:, 0], [-0.4, 0.4])]


def ignore(done: int, total: int) -> None: ...


def rewritten(content: bytes, change: Any, compression: int = 0) -> bytes:
    """The file with its schema changed."""
    buffer = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as given, ZipFile(buffer, "w", compression) as made:
        for name in given.namelist():
            held = given.read(name)
            if name == skopsfile.SCHEMA:
                schema = json.loads(held)
                change(schema)
                held = json.dumps(schema).encode()
            made.writestr(name, held)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def logistic() -> bytes:
    adapter = adapter_of("logistic_regression")
    return adapter.save(adapter.train(FEATURES, CLASSES, {}, 0, ignore))


def test_predictions_are_those_of_scikit_learn_itself() -> None:
    adapter = adapter_of("gradient_boosting")
    params = {"n_estimators": 7, "subsample": 0.5, "max_depth": 2}
    content = adapter.save(adapter.train(FEATURES, CLASSES, params, 3, ignore))
    theirs = GradientBoostingClassifier(**params, random_state=3).fit(FEATURES, CLASSES)
    found = adapter.predict(adapter.load(content), FEATURES)
    assert np.allclose(found.probabilities, theirs.predict_proba(FEATURES), rtol=0, atol=1e-14)

    adapter = adapter_of("linear_regression")
    model = adapter.load(adapter.save(adapter.train(FEATURES, NUMBERS, {}, 0, ignore)))
    wanted = LinearRegression().fit(FEATURES, NUMBERS).predict(FEATURES)
    assert adapter.predict(model, FEATURES).labels == pytest.approx(wanted)
    assert adapter.importances(model)[1] > 0.5


@pytest.mark.parametrize("name", ["logistic_regression", "gradient_boosting"])
def test_labels_of_any_kind_are_kept(name: str) -> None:
    adapter = adapter_of(name)
    for labels in (CLASSES == "a", np.searchsorted(["a", "b", "c"], CLASSES), CLASSES):
        params = {"n_estimators": 2} if name == "gradient_boosting" else {}
        model = adapter.load(adapter.save(adapter.train(FEATURES, labels, params, 0, ignore)))
        assert adapter.classes(model) == np.unique(labels).tolist()


def test_a_search_that_did_not_converge_says_so() -> None:
    adapter = adapter_of("logistic_regression")
    for max_iter, converged in ((1, False), (1000, True)):
        model = adapter.train(FEATURES, CLASSES, {"max_iter": max_iter}, 0, ignore)
        assert adapter.evaluate(model, FEATURES, CLASSES).more["converged"] is converged


def test_numbers_are_no_classes() -> None:
    with pytest.raises(BadTraining, match="continuous"):
        adapter_of("logistic_regression").train(FEATURES, NUMBERS, {}, 0, ignore)


def test_boosting_tells_each_round_and_stops_after_it() -> None:
    told: list[tuple[int, int]] = []

    def stop_at_three(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        adapter_of("gradient_boosting").train(FEATURES, CLASSES, {}, 0, stop_at_three)
    assert told == [(0, 1), (1, 100), (2, 100), (3, 100)]


def test_seeds_longer_than_scikit_learns_are_taken() -> None:
    adapter, params = adapter_of("gradient_boosting"), {"n_estimators": 2, "subsample": 0.5}
    contents = {
        adapter.save(adapter.train(FEATURES, CLASSES, params, seed, ignore))
        for seed in ((1 << 53) - 1, (1 << 53) - 1, 1)
    }
    assert len(contents) == 2


DEFAULTS: dict[str, Any] = {
    "gradient_boosting": GradientBoostingClassifier(),
    "gradient_boosting_regressor": GradientBoostingRegressor(),
    "linear_regression": LinearRegression(),
    "logistic_regression": LogisticRegression(max_iter=1_000),
    "ridge_regression": Ridge(),
}


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_the_catalogue_tells_defaults_that_scikit_learn_has_too(name: str) -> None:
    theirs = DEFAULTS[name].get_params()
    told = completed(ALGORITHMS[name], {})
    assert told == {parameter: theirs[parameter] for parameter in told}


@pytest.mark.parametrize(
    "model",
    [
        SVC().fit(FEATURES, CLASSES),
        make_pipeline(StandardScaler(), SVC()).fit(FEATURES, CLASSES),
        make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()),
        {"a": np.random.RandomState(0)},
    ],
    ids=["another model", "another step", "a function", "a random generator"],
)
def test_23_a_file_that_skops_would_load_but_is_no_model_of_ours_is_refused(model: Any) -> None:
    for content in (skops.io.dumps(model), skopsfile.dumps(model)):
        with pytest.raises(ValueError, match="which no logistic_regression has"):
            adapter_of("logistic_regression").load(content)


@pytest.mark.parametrize("model", [[1], StandardScaler(), make_pipeline(StandardScaler())])
def test_23_parts_of_a_model_are_no_model(model: Any) -> None:
    with pytest.raises(ValueError, match="holds no logistic_regression"):
        adapter_of("logistic_regression").load(skopsfile.dumps(model))


def test_23_other_ways_of_building_are_refused(logistic: bytes) -> None:
    for loader in ("FunctionNode", "MethodNode", "ReduceNode", "RandomStateNode", None):
        content = rewritten(
            logistic, lambda schema, loader=loader: schema.update(__loader__=loader)
        )
        with pytest.raises(ValueError, match="which no logistic_regression has"):
            adapter_of("logistic_regression").load(content)


def test_23_a_compressed_file_is_refused_before_it_grows(logistic: bytes) -> None:
    content = rewritten(logistic, lambda schema: None, ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        adapter_of("logistic_regression").load(content)


def test_23_a_model_that_was_never_fitted_is_refused() -> None:
    for name, estimator in (
        ("ridge_regression", make_pipeline(StandardScaler(), Ridge())),
        ("gradient_boosting_regressor", GradientBoostingRegressor()),
    ):
        with pytest.raises(ValueError, match="lacks something"):
            adapter_of(name).load(skopsfile.dumps(estimator))


@pytest.mark.parametrize("key", ["content", "__class__", "protocol"])
def test_23_a_schema_with_a_hole_is_refused(logistic: bytes, key: str) -> None:
    content = rewritten(logistic, lambda schema: schema.pop(key))
    with pytest.raises(ValueError, match="file"):
        adapter_of("logistic_regression").load(content)


def test_what_lay_in_memory_does_not_get_into_the_file() -> None:
    """Between the fields of a tree's nodes there are gaps, which NumPy writes as they are."""
    dtype = np.dtype({"names": ["a"], "formats": ["u1"], "offsets": [0], "itemsize": 8})
    array = np.frombuffer(b"\x01secret.", dtype)
    content = skopsfile.dumps(array)
    assert skops.io.dumps(array).count(b"secret.") == 1
    assert b"secret" not in content
    assert skops.io.loads(content) == array


def test_without_the_extra_an_algorithm_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contract, "find_spec", lambda module: None)
    status_of.cache_clear()
    try:
        with pytest.raises(MissingExtra, match=r"pip install 'astralytiq\[sklearn\]'"):
            adapter_of("linear_regression")
        assert status_of(catalogue.KMEANS) == "available"
    finally:
        status_of.cache_clear()
