"""What every algorithm of the catalogue must do, whatever is behind it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import Adapter, completed, faults_of

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(80, 3))
FEATURES[:, 1] += np.where(FEATURES[:, 1] > 0, 2, -2)  # two groups of rows, easily told apart
TARGETS: dict[str, NDArray[Any]] = {
    "classification": np.where(FEATURES[:, 1] > 0, "high", "low"),
    "clustering": np.zeros(80),
    "regression": 2 * FEATURES[:, 1] + FEATURES[:, 0] / 2,
}
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 5},
    "kmeans": {"n_clusters": 2},
}
SEED = 7

every_algorithm = pytest.mark.parametrize("name", sorted(ALGORITHMS))


def ignore(done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Trained:
    adapter: Adapter
    model: Any
    target: NDArray[Any]


def trained(name: str, seed: int = SEED) -> Trained:
    adapter, target = adapter_of(name), TARGETS[ALGORITHMS[name].task]
    return Trained(
        adapter, adapter.train(FEATURES, target, SMALL.get(name, {}), seed, ignore), target
    )


@every_algorithm
def test_the_same_training_gives_the_same_bytes(name: str) -> None:
    contents = [one.adapter.save(one.model) for one in (trained(name), trained(name))]
    assert contents[0] == contents[1]


@every_algorithm
def test_a_model_predicts_the_same_after_it_was_saved_and_loaded(name: str) -> None:
    one = trained(name)
    content = one.adapter.save(one.model)
    loaded = one.adapter.load(content)
    rows = FEATURES[:5].tolist()
    assert one.adapter.predict(loaded, rows) == one.adapter.predict(one.model, rows)
    assert one.adapter.save(loaded) == content
    assert one.adapter.classes(loaded) == one.adapter.classes(one.model)
    assert one.adapter.importances(loaded) == one.adapter.importances(one.model)


@every_algorithm
def test_it_has_learnt_something_and_says_how_well(name: str) -> None:
    one = trained(name)
    found = one.adapter.evaluate(one.model, FEATURES, one.target)
    assert found.metrics
    assert all(type(value) is float and np.isfinite(value) for value in found.metrics.values())
    assert found.classes == one.adapter.classes(one.model)
    least = {
        "classification": ("accuracy", 0.9),
        "clustering": ("silhouette", 0.4),
        "regression": ("r2", 0.9),
    }
    metric, value = least[ALGORITHMS[name].task]
    assert found.metrics[metric] > value


@every_algorithm
def test_predictions_are_plain_values_and_probabilities_add_up(name: str) -> None:
    one = trained(name)
    found = one.adapter.predict(one.model, FEATURES)
    assert len(found.labels) == len(FEATURES)
    assert {type(label) for label in found.labels} <= {str, int, float, bool}
    if ALGORITHMS[name].task == "classification":
        assert np.allclose(np.sum(found.probabilities, axis=1), 1)
        best = np.argmax(found.probabilities, axis=1)
        assert [one.adapter.classes(one.model)[place] for place in best] == found.labels
    else:
        assert found.probabilities == []


@every_algorithm
def test_there_is_an_importance_for_each_feature_or_none_at_all(name: str) -> None:
    one = trained(name)
    found = one.adapter.importances(one.model)
    assert len(found) in (0, 3)
    if found:
        assert int(np.argmax(found)) == 1


@every_algorithm
def test_a_damaged_or_foreign_file_is_refused(name: str) -> None:
    one = trained(name)
    content = one.adapter.save(one.model)
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    for wrong in (b"", b"not a model", b"\x80\x04N.", content[:-1], content[:middle], flipped):
        with pytest.raises(ValueError, match=r"."):
            one.adapter.load(wrong)


@every_algorithm
def test_23_another_algorithms_file_is_refused(name: str) -> None:
    one = trained(name)
    content = one.adapter.save(one.model)
    for other in set(ALGORITHMS) - {name}:
        with pytest.raises(ValueError, match=r"."):
            adapter_of(other).load(content)


@every_algorithm
def test_progress_is_told_and_can_end_the_training(name: str) -> None:
    adapter, target = adapter_of(name), TARGETS[ALGORITHMS[name].task]
    told: list[tuple[int, int]] = []
    adapter.train(FEATURES, target, SMALL.get(name, {}), 0, lambda *both: told.append(both))
    assert told
    assert all(0 <= done <= total for done, total in told)

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        adapter.train(FEATURES, target, {}, 0, stop)


@every_algorithm
def test_every_parameter_is_described_and_its_default_is_allowed(name: str) -> None:
    algorithm = ALGORITHMS[name]
    assert algorithm.description.endswith(".")
    assert faults_of(algorithm, completed(algorithm, {})) == []
    assert all(parameter.description for parameter in algorithm.parameters)


@every_algorithm
def test_wrong_parameters_are_refused_in_words(name: str) -> None:
    algorithm = ALGORITHMS[name]
    for parameter in algorithm.parameters:
        for wrong in ("nonsense", [1], {"a": 1}, -(10**9), 10**400, float("nan"), float("inf")):
            ((told, words),) = faults_of(algorithm, {parameter.name: wrong})
            assert told == parameter.name
            assert words.startswith("must be one of: ")
    ((told, words),) = faults_of(algorithm, {"magic": 1})
    assert (told, "unknown parameter" in words) == ("magic", True)


@every_algorithm
def test_onnx_answers_as_the_model_does(name: str) -> None:
    one = trained(name)
    rows = FEATURES.astype(np.float32)
    content = one.adapter.to_onnx(one.model)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    fed = rows.astype(np.float64 if "double" in entry.type else np.float32)
    wanted = one.adapter.predict(one.model, fed)
    if ALGORITHMS[name].task == "regression":
        (numbers,) = session.run(["prediction"], {entry.name: fed})
        assert np.allclose(numbers, wanted.labels, atol=1e-5)
        return
    assert session.run(["label"], {entry.name: fed})[0].tolist() == wanted.labels
    if wanted.probabilities:
        (shares,) = session.run(["probabilities"], {entry.name: fed})
        assert np.allclose(shares, wanted.probabilities, atol=1e-6)
