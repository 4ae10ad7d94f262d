"""Algorithms of scikit-learn, from the extra `sklearn`: trained there, and served as arrays."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ml_core.onnx.forest import float32_at_most

from . import compiled, skopsfile
from .classifying import Classifying
from .compiled import Compiled
from .contract import Algorithm, BadTraining, Evaluation, Progress, completed
from .regressing import Regressing


class ScikitAdapter:
    """Trained and kept alike; what differs is below. Models are `Compiled`."""

    algorithm: Algorithm
    kind: type[Any]

    def train(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Compiled:
        progress(0, 1)
        try:
            params = completed(self.algorithm, params)
            return self.compiled(self.fit(features, target, params, seed, progress))
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

    def compiled(self, model: Any) -> Compiled:
        raise NotImplementedError

    def save(self, model: Compiled) -> bytes:
        return skopsfile.dumps(model.source)

    def load(self, content: bytes) -> Compiled:
        model = skopsfile.loads(content, self.algorithm.name)
        if not self.holds(model):
            raise ValueError(f"The file holds no {self.algorithm.name}.")
        try:
            return self.compiled(model)
        except (ArithmeticError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"The file lacks something ({type(error).__name__}).") from None

    def holds(self, model: Any) -> bool:
        return isinstance(model, self.kind)

    def to_onnx(self, model: Compiled) -> bytes:
        return model.to_onnx()


class Boosting(ScikitAdapter):
    def fit(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Any:
        def monitor(done: int, *_: Any) -> bool:
            progress(done + 1, params["n_estimators"])
            return False

        model = self.kind(**params, random_state=seed_of(seed))
        model.fit(features, target, monitor=monitor)
        # The generator is used up, and of 2.5 KB in each tree: a model predicts without it.
        del model._rng
        for tree in model.estimators_.ravel():
            tree.random_state = None
        return model

    def compiled(self, model: Any) -> Compiled:
        rate, size = model.learning_rate, model.n_features_in_
        trees = [[tree_of(one.tree_, rate) for one in column] for column in model.estimators_.T]
        base = model._raw_predict_init(np.zeros((1, size)))[0].astype(np.float64)
        classes = getattr(model, "classes_", None)
        scores = compiled.boosted(trees, base, size)
        return Compiled(model, scores, classes, model.feature_importances_)


def tree_of(tree: Any, rate: float) -> compiled.Tree:
    leaf = tree.children_left < 0
    number = np.where(leaf, rate * tree.value[:, 0, 0], float32_at_most(tree.threshold))
    return compiled.Tree(tree.children_left, tree.children_right, tree.feature, number)


class GradientBoosting(Classifying, Boosting):
    kind = GradientBoostingClassifier


class GradientBoostingNumbers(Regressing, Boosting):
    kind = GradientBoostingRegressor


class Linear(ScikitAdapter):
    """Features are scaled first, so that coefficients can be compared and searches converge."""

    def fit(
        self,
        features: NDArray[Any],
        target: NDArray[Any],
        params: dict[str, Any],
        seed: int,
        progress: Progress,
    ) -> Pipeline:
        steps = [("scale", StandardScaler()), ("model", self.kind(**params))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `evaluate` tells it
            return Pipeline(steps).fit(features, target)

    def compiled(self, model: Pipeline) -> Compiled:
        scaler, last = model[0], model[-1]
        coefficients = np.atleast_2d(last.coef_).T.astype(np.float64)
        intercept = np.atleast_1d(last.intercept_).astype(np.float64)
        scores = compiled.Linear(scaler.mean_, scaler.scale_, coefficients, intercept)
        return Compiled(model, scores, getattr(last, "classes_", None), shares_of(coefficients))

    def holds(self, model: Any) -> bool:
        kinds = [type(step) for _, step in getattr(model, "steps", [])]
        return kinds == [StandardScaler, self.kind]


def shares_of(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each feature's share of the absolute values, the mean over outputs."""
    sizes: NDArray[np.float64] = np.abs(coefficients).mean(axis=1)
    return sizes / sizes.sum() if sizes.any() else sizes


class Logistic(Classifying, Linear):
    kind = LogisticRegression

    def evaluate(self, model: Compiled, features: NDArray[Any], target: NDArray[Any]) -> Evaluation:
        found, last = super().evaluate(model, features, target), model.source[-1]
        iterations = int(last.n_iter_.max())
        found.more["iterations"] = iterations
        found.more["converged"] = iterations < last.max_iter
        return found


class LeastSquares(Regressing, Linear):
    kind = LinearRegression


class Penalised(Regressing, Linear):
    kind = Ridge


def seed_of(seed: int) -> int:
    """scikit-learn takes 32 bits: longer seeds are mixed into as many."""
    return seed if seed < 1 << 32 else int(np.random.SeedSequence(seed).generate_state(1)[0])


ADAPTERS: dict[str, Any] = {
    "gradient_boosting": GradientBoosting,
    "gradient_boosting_regressor": GradientBoostingNumbers,
    "linear_regression": LeastSquares,
    "logistic_regression": Logistic,
    "ridge_regression": Penalised,
}
