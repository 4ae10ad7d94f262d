"""Rows are split by class, the same way for the same seed."""

import numpy as np
import pytest

from astralytiq.engines.models.contract import BadTraining
from astralytiq.engines.models.splitting import stratified

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
