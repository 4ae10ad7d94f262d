"""What a comparison computes: on which rows, and of labels, numbers and classes alike."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from astralytiq.core.errors import Invalid
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.engines.models.splitting import split
from astralytiq.features.training.judging import Contender, judged, truth_of
from astralytiq.features.training.plan import Plan

RNG = np.random.default_rng(0)
X, Y = RNG.random(200).round(6), RNG.random(200).round(6)


def table(rows: int, classes: int = 2) -> pa.Table:
    """Each row another; a class for each stretch of x."""
    kinds = np.array(["a", "b", "c"])[(X * classes).astype(int)]
    columns = {"x": X, "y": Y, "kind": kinds, "price": 2 * X + Y}
    return pa.table({name: column[:rows] for name, column in columns.items()})


def contender(data: pa.Table, *features: str, target: str = "kind", **how: Any) -> Contender:
    """Trained as a job would train it."""
    algorithm = "decision_tree" if target == "kind" else "linear_regression"
    named = {"test_size": 0.5, "seed": 0} | how
    plan = Plan(algorithm, "1@1", target, list(features), {}, **named, experiment="", model_name="")
    adapter = adapter_of(algorithm)
    truth = truth_of(data, plan)
    rows, _ = split(adapter.algorithm.task, truth, plan.test_size, plan.seed)
    matrix = np.column_stack([data[name].to_numpy() for name in features])
    model = adapter.train(matrix[rows], truth[rows], {}, plan.seed, lambda done, total: None)
    return Contender(f"of {data.num_rows} rows", plan, algorithm, adapter.save(model), data)


def test_rows_that_the_other_was_trained_on_are_left_out() -> None:
    older, newer = table(100), table(200)
    theirs, ours = contender(older, "y"), contender(newer, "x", "y")
    found = judged(ours, theirs, newer)
    _, held = split("classification", truth_of(newer, ours.plan), 0.5, 0)
    learnt, _ = split("classification", truth_of(older, theirs.plan), 0.5, 0)
    both = len(set(held.tolist()) & set(learnt.tolist()))
    assert (found["left_out"], found["rows"]) == (both, 100 - both)
    assert found["metrics"]["accuracy"] > 0.9 > found["other_metrics"]["accuracy"]


def test_a_version_from_elsewhere_has_seen_nothing_that_is_known() -> None:
    ours, theirs = contender(table(200), "x"), contender(table(100), "x")
    elsewhere = Contender("from elsewhere", theirs.plan, theirs.algorithm, theirs.content, None)
    assert judged(ours, elsewhere, table(200))["left_out"] == 0


def test_a_new_class_is_what_the_older_version_gets_wrong() -> None:
    ours, theirs = contender(table(200, 3), "x"), contender(table(100), "x")
    found = judged(ours, theirs, table(200, 3))
    assert found["other_metrics"]["accuracy"] < 0.7 < found["metrics"]["accuracy"]


def test_numbers_are_compared_by_their_errors() -> None:
    ours, theirs = (contender(table(rows), "x", "y", target="price") for rows in (200, 100))
    found = judged(ours, theirs, table(200))
    assert found["left_out"] > 0
    assert set(found["metrics"]) == {"r2", "rmse", "mae"}
    assert found["other_metrics"]["r2"] == pytest.approx(1)


def test_where_next_to_nothing_is_left_nothing_is_said() -> None:
    ours = contender(table(40), "x", test_size=0.05)
    theirs = contender(table(40), "x", test_size=0.05, seed=1)
    with pytest.raises(Invalid, match="too few are left"):
        judged(ours, theirs, table(40))
