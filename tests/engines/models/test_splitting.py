"""Rows are split by class, the same way for the same seed."""

import numpy as np
import pytest

from astralytiq.engines.models.contract import BadTraining
from astralytiq.engines.models.splitting import folds, split, stratified

TARGET = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)


def test_each_class_has_its_share_and_no_row_is_in_both() -> None:
    train, test = stratified(TARGET, 0.2, seed=0)
    assert sorted([*train, *test]) == list(range(100))
    names, counts = np.unique(TARGET[test], return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {"a": 12, "b": 6, "c": 2}


def test_the_seed_decides() -> None:
    first, again, other = (stratified(TARGET, 0.25, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("test_size", [0.01, 0.5, 0.99])
def test_every_class_keeps_a_row_to_train_on(test_size: float) -> None:
    target = np.array(["rare", *["a"] * 20, *["b"] * 20])
    train, test = stratified(target, test_size, seed=0)
    assert set(target[train]) == {"rare", "a", "b"}
    assert len(test) > 0


def test_a_target_of_one_value_is_refused() -> None:
    with pytest.raises(BadTraining, match="single value"):
        stratified(np.array([1, 1, 1]), 0.5, seed=0)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(BadTraining, match="too few"):
        stratified(np.array([1, 2]), 0.5, seed=0)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_each_row_is_tested_once_and_classes_are_spread_evenly(count: int) -> None:
    parts = folds("classification", TARGET, count, seed=1)
    assert sorted(np.concatenate([tests for _, tests in parts])) == list(range(100))
    for rows, tests in parts:
        assert sorted([*rows, *tests]) == list(range(100))
        assert len(tests) == 100 // count
        assert abs(int((TARGET[tests] == "a").sum()) - 60 / count) <= 1


def test_folds_depend_on_the_seed_alone() -> None:
    first, again, other = (
        [tests.tolist() for _, tests in folds("classification", TARGET, 4, seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_class_of_one_row_is_always_trained_on_and_of_two_on_one_at_least() -> None:
    target = np.array(["once", "twice", "twice", *["a"] * 20])
    for rows, tests in folds("classification", target, 5, seed=0):
        assert set(target[rows]) == {"once", "twice", "a"}
        assert "once" not in target[tests]


def test_numbers_are_dealt_without_looking_at_them() -> None:
    parts = folds("regression", np.arange(25.0), 4, seed=0)
    assert sorted(np.concatenate([tests for _, tests in parts])) == list(range(25))
    assert sorted(len(tests) for _, tests in parts) == [6, 6, 6, 7]


@pytest.mark.parametrize(("task", "rows"), [("classification", 4), ("regression", 9)])
def test_more_folds_than_rows_are_refused(task: str, rows: int) -> None:
    with pytest.raises(BadTraining, match="too few for 5 folds"):
        folds(task, np.zeros(rows), 5, seed=0)


def test_numbers_are_split_by_chance_and_clusters_not_at_all() -> None:
    train, test = split("regression", np.arange(10.0), 0.25, seed=0)
    assert (len(train), len(test)) == (7, 3)
    assert sorted([*train, *test]) == list(range(10))
    train, test = split("clustering", np.zeros(10), 0.25, seed=0)
    assert (len(train), len(test)) == (10, 0)
    with pytest.raises(BadTraining, match="too few"):
        split("regression", np.arange(4.0), 0.25, seed=0)
