"""Curves and probabilities are judged as scikit-learn does."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from astralytiq.engines.models import curves
from astralytiq.engines.models.metrics import evaluate, evaluate_numbers

RNG = np.random.default_rng(0)


def judged(classes: list[Any], rows: int = 120, decimals: int = 1) -> tuple[Any, Any, Any]:
    """(truth, shares, evaluation); rounded shares bring ties and zeros."""
    codes = RNG.integers(0, len(classes), rows)
    shares = RNG.random((rows, len(classes))).round(decimals) + 0.001
    shares /= shares.sum(axis=1, keepdims=True)
    labels = np.array(classes)
    found = evaluate(labels[codes], labels[shares.argmax(axis=1)], labels, shares)
    return labels[codes], shares, found


def test_of_two_classes_the_second_is_the_positive_one() -> None:
    truth, shares, found = judged(["no", "yes"])
    (curve,) = found.more["curves"]
    positive = truth == "yes"
    fpr, tpr, _ = theirs.roc_curve(positive, shares[:, 1], drop_intermediate=False)
    assert curve["class"] == "yes"
    assert curve["roc"]["fpr"] == pytest.approx(fpr, abs=1e-6)
    assert curve["roc"]["tpr"] == pytest.approx(tpr, abs=1e-6)
    precision, recall, _ = theirs.precision_recall_curve(positive, shares[:, 1])
    assert curve["precision_recall"]["precision"] == pytest.approx(precision[::-1], abs=1e-6)
    assert curve["precision_recall"]["recall"] == pytest.approx(recall[::-1], abs=1e-6)
    wanted = theirs.average_precision_score(positive, shares[:, 1])
    assert curve["average_precision"] == pytest.approx(wanted)
    assert found.metrics["roc_auc"] == pytest.approx(theirs.roc_auc_score(positive, shares[:, 1]))


def test_of_more_classes_each_is_set_against_the_rest() -> None:
    truth, shares, found = judged([1, 2, 3])
    wanted = theirs.roc_auc_score(truth, shares, multi_class="ovr")
    assert found.metrics["roc_auc"] == pytest.approx(wanted)
    assert found.metrics["log_loss"] == pytest.approx(theirs.log_loss(truth, shares))
    assert [curve["class"] for curve in found.more["curves"]] == [1, 2, 3]


def test_curves_are_short_and_few_whatever_the_data() -> None:
    _, _, found = judged(list(range(30)), rows=3000, decimals=9)
    assert len(found.more["curves"]) == curves.MOST_CURVES
    for curve in found.more["curves"]:
        points = curve["roc"]["fpr"]
        assert len(points) == curves.MOST_POINTS
        assert (points[0], points[-1]) == (0.0, 1.0)


def test_a_class_that_does_not_occur_has_no_curve() -> None:
    shares = np.full((4, 3), 1 / 3)
    truth, classes = np.array([0, 0, 1, 1]), np.array([0, 1, 2])
    found = evaluate(truth, truth, classes, shares)
    assert [curve["class"] for curve in found.more["curves"]] == [0, 1]
    assert found.metrics["roc_auc"] == 0.5
    alone = evaluate(truth[:2], truth[:2], classes[:2], shares[:2, :2])
    assert "roc_auc" not in alone.metrics
    assert alone.more["curves"] == []


def test_a_certain_mistake_costs_much_but_no_infinity() -> None:
    shares = np.array([[1.0, 0.0]])
    found = evaluate(np.array([1]), np.array([0]), np.array([0, 1]), shares)
    assert 30 < found.metrics["log_loss"] < 40


def test_numbers_are_judged_as_scikit_learn_does() -> None:
    truth, predicted = RNG.normal(size=50), RNG.normal(size=50)
    assert evaluate_numbers(truth, predicted).metrics == pytest.approx(
        {
            "r2": theirs.r2_score(truth, predicted),
            "rmse": theirs.root_mean_squared_error(truth, predicted),
            "mae": theirs.mean_absolute_error(truth, predicted),
        }
    )
    flat = np.ones(3)
    assert evaluate_numbers(flat, flat).metrics["r2"] == 1
    assert evaluate_numbers(flat, flat + 1).metrics["r2"] == 0
