"""Decision tree and random forest of ml_core."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from ml_core import DecisionTreeClassifier, RandomForestClassifier, persistence

from .contract import (
    Algorithm,
    BadTraining,
    Evaluation,
    Label,
    NoOnnx,
    Predictions,
    Progress,
    completed,
)
from .metrics import evaluate

TreeModel = DecisionTreeClassifier | RandomForestClassifier
CLASSES: dict[str, type[TreeModel]] = {
    "decision_tree": DecisionTreeClassifier,
    "random_forest": RandomForestClassifier,
}


class TreeAdapter:
    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> TreeModel:
        values = completed(self.algorithm, params)
        model = CLASSES[self.algorithm.name](**values, random_state=seed)
        try:
            if isinstance(model, RandomForestClassifier):
                return model.fit(features, target, progress=progress)
            progress(0, 1)
            return model.fit(features, target)
        except ValueError as error:  # ml_core's words for data that it cannot learn from
            raise BadTraining(str(error)) from None

    def predict(self, model: TreeModel, features: ArrayLike) -> Predictions:
        shares = model.predict_proba(features)
        labels = model.classes_[shares.argmax(axis=1)].tolist()
        return Predictions(labels, shares.tolist())

    def evaluate(
        self, model: TreeModel, features: NDArray[Any], target: NDArray[Any]
    ) -> Evaluation:
        shares = model.predict_proba(features)
        return evaluate(target, model.classes_[shares.argmax(axis=1)], model.classes_, shares)

    def importances(self, model: TreeModel) -> list[float]:
        found: list[float] = model.feature_importances_.tolist()
        return found

    def classes(self, model: TreeModel) -> list[Label]:
        found: list[Label] = model.classes_.tolist()
        return found

    def save(self, model: TreeModel) -> bytes:
        return persistence.dumps(model)

    def load(self, content: bytes) -> TreeModel:
        model = persistence.loads(content)
        if not isinstance(model, CLASSES[self.algorithm.name]):
            raise ValueError(f"The file holds no {self.algorithm.name}.")
        return model

    def to_onnx(self, model: TreeModel) -> bytes:
        try:
            return model.to_onnx()
        except ValueError as error:
            raise NoOnnx(str(error)) from None
