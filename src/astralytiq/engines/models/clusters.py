"""K-Means of ml_core."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core import KMeans, persistence

from .contract import (
    Algorithm,
    BadTraining,
    Evaluation,
    Label,
    Predictions,
    Progress,
    completed,
)
from .silhouette import silhouette


class KMeansAdapter:
    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> KMeans:
        progress(0, 1)
        try:
            return KMeans(**completed(self.algorithm, params), random_state=seed).fit(features)
        except ValueError as error:  # ml_core's words for data that it cannot learn from
            raise BadTraining(str(error)) from None

    def predict(self, model: KMeans, features: ArrayLike) -> Predictions:
        return Predictions(model.predict(features).tolist(), [])

    def evaluate(self, model: KMeans, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        labels = model.predict(features)
        metrics = {"inertia": -float(model.score(features))}
        if (width := silhouette(features, labels)) is not None:
            metrics["silhouette"] = width
        sizes = np.bincount(labels, minlength=len(model.cluster_centers_)).tolist()
        more = {"cluster_sizes": sizes, "cluster_centres": model.cluster_centers_.tolist()}
        return Evaluation(metrics, self.classes(model), more=more)

    def importances(self, model: KMeans) -> list[float]:
        return []

    def classes(self, model: KMeans) -> list[Label]:
        """The clusters' numbers."""
        return list(range(len(model.cluster_centers_)))

    def save(self, model: KMeans) -> bytes:
        return persistence.dumps(model)

    def load(self, content: bytes) -> KMeans:
        model = persistence.loads(content)
        if not isinstance(model, KMeans):
            raise ValueError(f"The file holds no {self.algorithm.name}.")
        return model

    def to_onnx(self, model: KMeans) -> bytes:
        return model.to_onnx()
