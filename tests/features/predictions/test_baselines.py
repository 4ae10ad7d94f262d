"""What versions are compared with is what is stored of them."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from astralytiq.engines.tabular.histograms import distribution_of
from astralytiq.features.predictions import drifting
from astralytiq.features.predictions.baselines import HELD_OUT, Known, baseline_of
from astralytiq.features.predictions.cells import Baseline, spread
from astralytiq.features.predictions.schemas_watching import Limits, Verdict

LIMITS = Limits(watch_psi=0.1, drift_psi=0.25, watch_quality_drop=0.05, drift_quality_drop=0.1,
                watch_least_rows=100)  # fmt: skip


def known(task: str, evaluation: dict[str, Any], classes: list[Any]) -> Known:
    return Known(task, "", classes, evaluation, None)


def test_a_classifier_is_compared_with_what_it_predicted_of_held_out_rows() -> None:
    found = baseline_of(known("classification", {"confusion_matrix": [[8, 2], [1, 9]]}, ["a", "b"]))
    assert (found.labels, found.against) == ({'["a"]': 9, '["b"]': 11}, HELD_OUT)


def test_clusters_are_compared_with_their_sizes_at_training() -> None:
    found = baseline_of(known("clustering", {"cluster_sizes": [5, 7]}, [0, 1]))
    assert (found.labels, found.against) == ({"[0]": 5, "[1]": 7}, "training rows")


def test_a_version_from_elsewhere_has_nothing_to_be_compared_with() -> None:
    found = baseline_of(known("classification", {}, ["a"]))
    assert (found.labels, found.against) == ({}, "")
    told = drifting.predictions(found, {"labels": {'["a"]': 500}}, LIMITS)
    assert (told.verdict, told.rows) == (Verdict.unknown, 500)


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, Verdict.ok), (1.5, Verdict.drift)])
def test_a_regression_is_compared_with_its_answers_to_held_out_rows(
    shift: float, verdict: Verdict
) -> None:
    chance = np.random.default_rng(3)
    stored = asdict(distribution_of(chance.normal(size=2_000)))
    baseline = baseline_of(known("regression", {"predicted": stored}, []))
    assert isinstance(baseline, Baseline)
    assert baseline.against == HELD_OUT
    counted = spread(chance.normal(shift, size=500), baseline.predicted_edges)
    told = drifting.predictions(baseline, {"numbers": counted}, LIMITS)
    assert (told.verdict, told.rows, told.rows_before) == (verdict, 500, 2_000)


def test_rows_of_the_same_source_are_seldom_called_drift() -> None:
    """Of 20 inputs and few rows: without the bound by chance most looks would find some."""
    chance = np.random.default_rng(5)
    found = []
    for _ in range(20):
        stored = asdict(distribution_of(chance.normal(size=200)))
        baseline = baseline_of(known("regression", {"predicted": stored}, []))
        counted = spread(chance.normal(size=100), baseline.predicted_edges)
        found.append(drifting.predictions(baseline, {"numbers": counted}, LIMITS).verdict)
    assert found.count(Verdict.ok) >= 17


@pytest.mark.parametrize(
    ("metrics", "held_out", "rows", "verdict"),
    [
        ({"accuracy": 0.94}, {"accuracy": 0.95}, 1_000, Verdict.ok),
        ({"accuracy": 0.88}, {"accuracy": 0.95}, 1_000, Verdict.watch),
        ({"accuracy": 0.80}, {"accuracy": 0.95}, 1_000, Verdict.drift),
        ({"accuracy": 0.88}, {"accuracy": 0.95}, 99, Verdict.too_few),
        ({"accuracy": 0.88}, {"log_loss": 0.1}, 1_000, Verdict.unknown),
        ({"rmse": 1.02}, {"rmse": 1.0}, 1_000, Verdict.ok),
        ({"rmse": 1.08}, {"rmse": 1.0}, 100, Verdict.ok),  # By chance, perhaps.
        ({"rmse": 1.08}, {"rmse": 1.0}, 10_000, Verdict.watch),
        ({"rmse": 2.0}, {"rmse": 1.0}, 1_000, Verdict.drift),
        ({"rmse": 0.1}, {"rmse": 0.0}, 1_000, Verdict.drift),
    ],
)
def test_a_loss_of_quality_is_told_when_it_is_more_than_chance(
    metrics: dict[str, float], held_out: dict[str, float], rows: int, verdict: Verdict
) -> None:
    assert drifting.quality(metrics, rows, held_out, 10_000, LIMITS) is verdict
