"""Decision tree and random forest of ml_core."""

from typing import Any

from numpy.typing import NDArray

from ml_core import DecisionTreeClassifier, RandomForestClassifier, persistence

from .classifying import Classifying
from .contract import BadTraining, NoOnnx, Progress, completed

TreeModel = DecisionTreeClassifier | RandomForestClassifier
CLASSES: dict[str, type[TreeModel]] = {
    "decision_tree": DecisionTreeClassifier,
    "random_forest": RandomForestClassifier,
}


class TreeAdapter(Classifying):
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
