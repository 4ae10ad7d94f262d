"""What is peculiar to XGBoost: its files, its parameters, its absence."""

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from astralytiq.engines.models import contract, ubjson, xgb
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import BadTraining, completed, status_of

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(90, 3))
CLASSES = np.array(["a", "b", "c"])[np.digitize(FEATURES[:, 0], [-0.4, 0.4])]
SMALL = {"n_estimators": 3}
ALONE: dict[str, Any] = {"nthread": 1, "verbosity": 0}


def ignore(done: int, total: int) -> None: ...


def rows(target: NDArray[Any]) -> xgboost.DMatrix:
    return xgboost.DMatrix(FEATURES, target, nthread=1)


def file(target: NDArray[Any] = CLASSES, name: str = "xgboost", **params: Any) -> bytes:
    adapter = adapter_of(name)
    return adapter.save(adapter.train(FEATURES, target, {**SMALL, **params}, 0, ignore))


def test_the_file_is_one_that_xgboost_reads() -> None:
    booster = xgboost.Booster(model_file=bytearray(file()))
    told = json.loads(str(booster.attr("astralytiq")))
    assert (told["algorithm"], told["classes"]) == ("xgboost", ["a", "b", "c"])
    assert booster.num_boosted_rounds() == 3


@pytest.mark.parametrize(
    "labels",
    [CLASSES == "a", np.searchsorted(["a", "b", "c"], CLASSES), (CLASSES == "b") * 1.0, CLASSES],
    ids=["truths", "whole numbers", "numbers", "texts"],
)
def test_labels_of_any_kind_are_kept(labels: NDArray[Any]) -> None:
    adapter = adapter_of("xgboost")
    model = adapter.load(file(labels))
    assert adapter.classes(model) == np.unique(labels).tolist()
    assert type(adapter.classes(model)[0]) is type(np.unique(labels).tolist()[0])


def test_data_that_cannot_be_learnt_from_are_refused_in_a_line() -> None:
    adapter = adapter_of("xgboost")
    for features, target, words in (
        (FEATURES, FEATURES[:, 0], "continuous"),
        (FEATURES, np.zeros(90), "single class"),
        (FEATURES * 1e300, CLASSES, "inf"),
    ):
        with pytest.raises(BadTraining, match=words) as refused:
            adapter.train(features, target, SMALL, 0, ignore)
        assert "\n" not in str(refused.value)


def test_each_round_is_told_and_training_stops_after_it() -> None:
    told: list[tuple[int, int]] = []

    def stop_at_three(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        adapter_of("xgboost").train(FEATURES, CLASSES, {}, 0, stop_at_three)
    assert told == [(0, 1), (1, 100), (2, 100), (3, 100)]


def test_parameters_reach_xgboost() -> None:
    assert len({file(), file(max_depth=1), file(reg_lambda=50), file(learning_rate=0.01)}) == 4
    deep = file(gamma=0, min_child_weight=0, max_bin=5)
    assert len(file(gamma=1e6)) < len(deep)


def test_defaults_are_xgboosts_own() -> None:
    booster = xgboost.train({**ALONE, "tree_method": "hist"}, rows(FEATURES[:, 0]), 1)
    learner = json.loads(booster.save_config())["learner"]["gradient_booster"]
    theirs = learner["tree_train_param"]
    told = completed(ALGORITHMS["xgboost"], {})
    del told["n_estimators"]
    assert {name: float(theirs[name]) for name in told} == pytest.approx(told)


def test_only_the_seed_makes_a_difference_and_long_ones_are_taken() -> None:
    adapter, params = adapter_of("xgboost"), {**SMALL, "subsample": 0.5}
    contents = {
        adapter.save(adapter.train(FEATURES, CLASSES, params, seed, ignore))
        for seed in ((1 << 53) - 1, (1 << 53) - 1, (1 << 32) - 1, 1)
    }
    assert len(contents) == 3


@pytest.mark.parametrize(
    ("params", "target", "words"),
    [
        ({"objective": "reg:tweedie"}, FEATURES[:, 0] ** 2, "objective 'reg:tweedie'"),
        ({"booster": "gblinear"}, FEATURES[:, 0], "booster 'gblinear'"),
        ({"booster": "dart"}, FEATURES[:, 0], "booster 'dart'"),
    ],
)
def test_23_other_models_of_xgboost_are_refused(
    params: dict[str, Any], target: NDArray[Any], words: str
) -> None:
    booster = xgboost.train({**params, **ALONE}, rows(target), 2)
    learner = ubjson.read(bytes(booster.save_raw("ubj")))["learner"]
    with pytest.raises(ValueError, match=words):
        xgb.read(learner)


def test_23_a_model_that_was_trained_elsewhere_is_not_taken_for_ours() -> None:
    booster = xgboost.train(ALONE, rows(FEATURES[:, 0]), 2)
    with pytest.raises(ValueError, match="trained here"):
        adapter_of("xgboost_regressor").load(bytes(booster.save_raw("ubj")))


def test_23_whatever_byte_is_changed_the_file_is_refused() -> None:
    content, adapter = file(), adapter_of("xgboost")
    for at in RNG.integers(0, len(content), size=300):
        wrong = content[:at] + bytes([content[at] ^ (1 << int(at) % 8)]) + content[at + 1 :]
        with pytest.raises(ValueError, match=r"."):
            adapter.load(wrong)


def test_without_the_extra_it_serves_and_says_what_training_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = file()
    monkeypatch.setattr(contract, "find_spec", lambda module: None)
    status_of.cache_clear()
    try:
        adapter = adapter_of("xgboost")
        assert adapter.predict(adapter.load(content), FEATURES[:1].tolist()).labels
        with pytest.raises(BadTraining, match=r"pip install 'astralytiq\[xgboost\]'"):
            adapter.train(FEATURES, CLASSES, {}, 0, ignore)
    finally:
        status_of.cache_clear()
