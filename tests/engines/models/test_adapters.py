"""What every adapter must do, whatever is behind it."""

import inspect

import numpy as np
import pytest

from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import BadTraining, completed, faults_of
from astralytiq.engines.models.trees import CLASSES

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(80, 3))
TARGET = np.where(FEATURES[:, 1] > 0, "high", "low")

every_algorithm = pytest.mark.parametrize("name", sorted(ALGORITHMS))


def ignore(done: int, total: int) -> None: ...


@every_algorithm
def test_a_saved_model_is_the_same_bytes_and_predicts_the_same_when_loaded(name: str) -> None:
    adapter = adapter_of(name)
    saved = [
        adapter.save(adapter.train(FEATURES, TARGET, {"max_depth": 3}, 7, ignore)) for _ in "12"
    ]
    assert saved[0] == saved[1]
    model = adapter.load(saved[0])
    found = adapter.predict(model, FEATURES[:5].tolist())
    assert found.labels == TARGET[:5].tolist()
    assert adapter.classes(model) == ["high", "low"]
    assert np.allclose(np.sum(found.probabilities, axis=1), 1)
    assert np.argmax(adapter.importances(model)) == 1
    assert adapter.evaluate(model, FEATURES, TARGET).metrics["accuracy"] > 0.9


@every_algorithm
def test_progress_can_end_the_training(name: str) -> None:
    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        adapter_of(name).train(FEATURES, TARGET, {}, 0, stop)


@every_algorithm
def test_data_that_cannot_be_learnt_from_are_refused_in_words(name: str) -> None:
    with pytest.raises(BadTraining, match="continuous"):
        adapter_of(name).train(FEATURES, FEATURES[:, 0], {}, 0, ignore)


@every_algorithm
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04N."])
def test_23_only_own_files_are_loaded(name: str, content: bytes) -> None:
    with pytest.raises(ValueError, match="model"):
        adapter_of(name).load(content)


def test_23_another_algorithms_file_is_refused() -> None:
    tree = adapter_of("decision_tree")
    content = tree.save(tree.train(FEATURES, TARGET, {}, 0, ignore))
    with pytest.raises(ValueError, match="no random_forest"):
        adapter_of("random_forest").load(content)


@every_algorithm
def test_the_catalogue_tells_the_estimators_own_defaults(name: str) -> None:
    theirs = inspect.signature(CLASSES[name]).parameters
    told = completed(ALGORITHMS[name], {})
    assert told == {parameter: theirs[parameter].default for parameter in told}


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({"n_estimators": 10, "max_depth": None, "max_features": "log2"}, []),
        ({"max_features": 2, "bootstrap": False}, []),
        ({"n_estimators": 0, "trees": 5}, ["n_estimators", "trees"]),
        ({"n_estimators": True}, ["n_estimators"]),
        ({"n_estimators": 1.5}, ["n_estimators"]),
        ({"criterion": "chance"}, ["criterion"]),
        ({"criterion": None}, ["criterion"]),
        ({"max_features": "all"}, ["max_features"]),
        ({"max_depth": [1]}, ["max_depth"]),
        ({"bootstrap": 1}, ["bootstrap"]),
        ({"min_samples_split": 1}, ["min_samples_split"]),
    ],
)
def test_wrong_parameters_are_named_all_at_once(
    params: dict[str, object], wrong: list[str]
) -> None:
    assert [name for name, _ in faults_of(ALGORITHMS["random_forest"], params)] == wrong
