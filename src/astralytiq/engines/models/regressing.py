"""What adapters of regressions share, whoever wrote the model: it answers `predict`."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from .contract import Algorithm, Evaluation, Label, Predictions
from .metrics import evaluate_numbers


class Regressing:
    """Needs `predict` and `feature_importances_` of its models."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def predict(self, model: Any, features: ArrayLike) -> Predictions:
        return Predictions(model.predict(features).tolist(), [])

    def evaluate(self, model: Any, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        return evaluate_numbers(target, model.predict(features))

    def importances(self, model: Any) -> list[float]:
        found: list[float] = model.feature_importances_.tolist()
        return found

    def classes(self, model: Any) -> list[Label]:
        return []
