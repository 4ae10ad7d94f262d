"""How well predicted labels fit the true ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Evaluation


def evaluate(truth: NDArray[Any], predicted: NDArray[Any], classes: NDArray[Any]) -> Evaluation:
    """`classes` are all labels in order, those of both arrays among them."""
    confusion = confusion_matrix(truth, predicted, classes)
    return Evaluation(scores(confusion), classes.tolist(), confusion.tolist())


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
