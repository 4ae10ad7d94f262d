"""What adapters of classifiers share, whoever wrote the model: it answers `predict_proba`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .contract import Algorithm, Evaluation, Label, Predictions
from .metrics import evaluate


class Classifying:
    """Needs `classes_`, `predict_proba` and `feature_importances_` of its models."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def shares(self, model: Any, features: ArrayLike) -> NDArray[np.float64]:
        """(rows, classes) probabilities, as an array: what a whole table is answered with."""
        found: NDArray[np.float64] = model.predict_proba(np.asarray(features, dtype=np.float64))
        return found

    def predict(self, model: Any, features: ArrayLike) -> Predictions:
        shares = self.shares(model, features)
        return Predictions(model.classes_[shares.argmax(axis=1)].tolist(), shares.tolist())

    def evaluate(self, model: Any, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        shares = model.predict_proba(features)
        return evaluate(target, model.classes_[shares.argmax(axis=1)], model.classes_, shares)

    def importances(self, model: Any) -> list[float]:
        found: list[float] = model.feature_importances_.tolist()
        return found

    def classes(self, model: Any) -> list[Label]:
        found: list[Label] = model.classes_.tolist()
        return found
