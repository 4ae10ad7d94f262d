"""The metrics agree with scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from astralytiq.engines.models.metrics import evaluate


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("labels", [[0, 1], ["a", "b", "c", "never"]])
def test_all_metrics_equal_scikit_learns(seed: int, labels: list[object]) -> None:
    classes = np.array(labels)
    rng = np.random.default_rng(seed)
    truth, predicted = rng.choice(classes[:3], 40), rng.choice(classes[:3], 40)
    found = evaluate(truth, predicted, classes)
    macro = {"average": "macro", "zero_division": 0}
    assert found.metrics == pytest.approx(
        {
            "accuracy": theirs.accuracy_score(truth, predicted),
            "precision": theirs.precision_score(truth, predicted, **macro),
            "recall": theirs.recall_score(truth, predicted, **macro),
            "f1_score": theirs.f1_score(truth, predicted, **macro),
        }
    )
    assert found.confusion == theirs.confusion_matrix(truth, predicted, labels=classes).tolist()


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    found = evaluate(np.array([0, 1]), np.array([0, 0]), np.array([0, 1]))
    assert found.metrics == pytest.approx(
        {"accuracy": 0.5, "precision": 0.25, "recall": 0.5, "f1_score": 1 / 3}
    )
