"""Algorithms of scikit-learn, from the extra `sklearn`."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from . import skopsfile
from .classifying import Classifying
from .contract import (
    BadTraining,
    Evaluation,
    Label,
    NoOnnx,
    Predictions,
    Progress,
    completed,
)
from .metrics import evaluate_numbers


class ScikitAdapter(Classifying):
    """Trained and kept alike; what differs is below."""

    kind: type[Any]

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Any:
        progress(0, 1)
        try:
            return self.fit(features, target, completed(self.algorithm, params), seed, progress)
        except ValueError as error:  # scikit-learn's words for data that it cannot learn from
            raise BadTraining(str(error)) from None

    def fit(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Any:
        raise NotImplementedError

    def save(self, model: Any) -> bytes:
        return skopsfile.dumps(model)

    def load(self, content: bytes) -> Any:
        model = skopsfile.loads(content, self.algorithm.name)
        if not isinstance(model, self.kind):
            raise ValueError(f"The file holds no {self.algorithm.name}.")
        return model

    def to_onnx(self, model: Any) -> bytes:
        raise NoOnnx(f"{self.algorithm.name} of scikit-learn is not written as ONNX here")


class GradientBoosting(ScikitAdapter):
    kind = GradientBoostingClassifier

    def fit(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> GradientBoostingClassifier:
        def monitor(done: int, *_: Any) -> bool:
            progress(done + 1, params["n_estimators"])
            return False

        model = GradientBoostingClassifier(**params, random_state=seed_of(seed))
        model.fit(features, target, monitor=monitor)
        # The generator is used up, and of 2.5 KB in each tree: a model predicts without it.
        del model._rng
        for tree in model.estimators_.ravel():
            tree.random_state = None
        return model


class Linear(ScikitAdapter):
    """Features are scaled first, so that coefficients can be compared and searches converge."""

    kind = Pipeline
    estimator: type[Any]

    def fit(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Pipeline:
        steps = [("scale", StandardScaler()), ("model", self.estimator(**params))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `evaluate` tells it
            return Pipeline(steps).fit(features, target)

    def importances(self, model: Pipeline) -> list[float]:
        """Each feature's share of the coefficients' absolute values, the mean over classes."""
        sizes = np.abs(np.atleast_2d(model[-1].coef_)).mean(axis=0)
        found: list[float] = (sizes / sizes.sum() if sizes.any() else sizes).tolist()
        return found

    def load(self, content: bytes) -> Pipeline:
        model = super().load(content)
        if [type(step) for _, step in getattr(model, "steps", [])] != [
            StandardScaler,
            self.estimator,
        ]:
            raise ValueError(f"The file holds no {self.algorithm.name}.")
        return model


class Logistic(Linear):
    estimator = LogisticRegression

    def evaluate(self, model: Pipeline, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        found = super().evaluate(model, features, target)
        iterations = int(model[-1].n_iter_.max())
        found.more["iterations"] = iterations
        found.more["converged"] = iterations < model[-1].max_iter
        return found


class LeastSquares(Linear):
    estimator = LinearRegression

    def predict(self, model: Pipeline, features: ArrayLike) -> Predictions:
        return Predictions(model.predict(np.asarray(features, dtype=np.float64)).tolist(), [])

    def evaluate(self, model: Pipeline, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        return evaluate_numbers(target, model.predict(features))

    def classes(self, model: Pipeline) -> list[Label]:
        return []


def seed_of(seed: int) -> int:
    """scikit-learn takes 32 bits: longer seeds are mixed into as many."""
    return seed if seed < 1 << 32 else int(np.random.SeedSequence(seed).generate_state(1)[0])


ADAPTERS: dict[str, type[ScikitAdapter]] = {
    "gradient_boosting": GradientBoosting,
    "linear_regression": LeastSquares,
    "logistic_regression": Logistic,
}
