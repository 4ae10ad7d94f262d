"""How well predicted labels fit the true ones."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Evaluation
from .curves import areas_and_curves


def evaluate(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    classes: NDArray[Any],
    shares: NDArray[np.float64] | None = None,
) -> Evaluation:
    """How predicted labels, and probabilities where there are some, fit the truth.

    `classes` are all labels in order, those of both arrays among them; `shares` are
    (rows, classes) probabilities.
    """
    confusion = confusion_matrix(truth, predicted, classes)
    metrics, more = scores(confusion), {}
    if shares is not None:
        codes = np.searchsorted(classes, truth)
        metrics["log_loss"] = log_loss(codes, shares)
        area, curves = areas_and_curves(codes, shares, classes.tolist())
        if area is not None:
            metrics["roc_auc"] = area
        more["curves"] = curves
    return Evaluation(metrics, classes.tolist(), confusion.tolist(), more)


def evaluate_numbers(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Evaluation:
    """R2, the root of the mean squared error, and the mean error, in the target's unit.

    Of a truth that never differs, R2 is 1 where it is met and 0 where it is not, as in
    scikit-learn.
    """
    errors = truth - predicted
    squares, spread = float((errors**2).sum()), float(((truth - truth.mean()) ** 2).sum())
    r2 = 1 - squares / spread if spread > 0 else float(squares == 0)
    rmse = math.sqrt(squares / len(truth))
    return Evaluation({"r2": r2, "rmse": rmse, "mae": float(np.abs(errors).mean())}, [])


def log_loss(codes: NDArray[np.intp], shares: NDArray[np.float64]) -> float:
    """The mean of -log of what was given to the true class, as if never 0."""
    least = np.finfo(np.float64).eps
    given = np.clip(shares[np.arange(len(codes)), codes], least, 1 - least)
    return float(-np.log(given).mean())


def confusion_matrix(
    truth: NDArray[Any], predicted: NDArray[Any], classes: NDArray[Any]
) -> NDArray[np.int64]:
    """(n_classes, n_classes) counts: [i, j] rows of class i that were predicted as j."""
    size = len(classes)
    pairs = np.searchsorted(classes, truth) * size + np.searchsorted(classes, predicted)
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)


def scores(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy; precision, recall and F1 as unweighted means over classes (macro).

    As in scikit-learn's defaults, a class that neither occurs nor is predicted has no say, and a
    ratio over nothing counts as 0.
    """
    right = confusion.diagonal().astype(np.float64)
    real, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    present = (real + claimed) > 0
    precision, recall = ratio(right, claimed), ratio(right, real)
    f1 = ratio(2 * right, real + claimed)
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "precision": float(precision[present].mean()),
        "recall": float(recall[present].mean()),
        "f1_score": float(f1[present].mean()),
    }


def ratio(above: NDArray[np.float64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
