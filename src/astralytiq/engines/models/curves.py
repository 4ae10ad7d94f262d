"""Receiver operating characteristic and precision by recall, of each class against the rest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Label

MOST_POINTS = 200
MOST_CURVES = 20  # Areas are of all classes; curves are kept of those with the most rows.

Floats = NDArray[np.float64]


def areas_and_curves(
    codes: NDArray[np.intp], shares: Floats, classes: list[Label]
) -> tuple[float | None, list[dict[str, Any]]]:
    """The unweighted mean of the areas under the ROC curves, and the curves.

    Of two classes the second is taken as the positive one. Classes of which no row, or every row,
    is among these have no curve; the area is None where no class has one.

    Parameters
    ----------
    codes : (rows,)
        The place of each row's true class among the columns of `shares`.
    shares : (rows, classes) probabilities
    """
    counts = np.bincount(codes, minlength=len(classes))
    told = [1] if len(classes) == 2 else range(len(classes))
    defined = [code for code in told if 0 < counts[code] < len(codes)]
    found = {code: curve(codes == code, shares[:, code]) for code in defined}
    if not found:
        return None, []
    kept = sorted(sorted(defined, key=lambda code: -counts[code])[:MOST_CURVES])
    curves = [{"class": classes[code], **found[code]} for code in kept]
    return float(np.mean([one["auc"] for one in found.values()])), curves


def curve(positive: NDArray[np.bool_], scores: Floats) -> dict[str, Any]:
    """One threshold for each different score, from the highest to the lowest."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    right = np.cumsum(positive[order])[ends].astype(np.float64)
    claimed = ends + 1.0
    tpr = np.append(0.0, right / right[-1])
    fpr = np.append(0.0, (claimed - right) / (len(scores) - right[-1]))
    precision = np.append(1.0, right / claimed)
    return {
        "auc": float(np.trapezoid(tpr, fpr)),
        "average_precision": float((np.diff(tpr) * precision[1:]).sum()),
        "roc": {"fpr": thinned(fpr), "tpr": thinned(tpr)},
        "precision_recall": {"recall": thinned(tpr), "precision": thinned(precision)},
    }


def thinned(values: Floats) -> list[float]:
    """At most so many points, evenly spread, the first and the last among them."""
    if len(values) > MOST_POINTS:
        values = values[np.linspace(0, len(values) - 1, MOST_POINTS).astype(np.intp)]
    return [round(value, 6) for value in values.tolist()]
