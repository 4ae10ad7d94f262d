"""What is peculiar to single algorithms: all that is common is in test_conformance.py."""

import inspect

import numpy as np
import pytest

from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import BadTraining, completed, faults_of
from astralytiq.engines.models.trees import CLASSES

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(80, 3))

every_tree = pytest.mark.parametrize("name", sorted(CLASSES))


def ignore(done: int, total: int) -> None: ...


@every_tree
def test_data_that_cannot_be_learnt_from_are_refused_in_words(name: str) -> None:
    with pytest.raises(BadTraining, match="continuous"):
        adapter_of(name).train(FEATURES, FEATURES[:, 0], {}, 0, ignore)


@every_tree
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
