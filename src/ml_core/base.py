"""What every estimator shares: parameters in scikit-learn's manner, and a classifier's score."""

import inspect
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.conventions import NotFittedError, as_theirs, classifier_tags
from ml_core.validation import (
    check_feature_names,
    check_kind,
    check_n_features,
    check_weights,
    check_X,
    feature_names,
    label_line,
)
from ml_core.weights import at_most_one

Params = dict[str, Any]


class Estimator:
    """`__init__` stores its parameters unchanged; `fit` checks them and learns what ends in `_`."""

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    @classmethod
    def _param_names(cls) -> list[str]:
        return sorted(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> Params:
        """The parameters of `__init__` by name; ``deep`` is scikit-learn's and changes nothing."""
        return {name: getattr(self, name) for name in self._param_names()}

    def set_params(self, **params: Any) -> Self:
        """Change parameters for the next `fit`.

        Raises
        ------
        ValueError
            If a name is not a parameter; then none is changed.
        """
        known = self._param_names()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {known}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({shown})"

    def check_params(self) -> None:
        """Refuse wrong parameters, as `fit` will.

        Raises
        ------
        ValueError
            Naming the parameter, what it may be and what it is.
        """
        raise NotImplementedError

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What to save beside the parameters: facts for JSON, and arrays."""
        raise NotImplementedError

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over a saved state, trusting nothing in it."""
        raise NotImplementedError

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "n_features_in_"):
            raise as_theirs(NotFittedError)(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _learn_names(self, names: list[str] | None) -> None:
        self.__dict__.pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _checked_as_in_fit(self, X: ArrayLike, *, keep_float32: bool = False) -> NDArray[Any]:
        """X as a matrix with the columns that `fit` saw."""
        self._check_is_fitted()
        fitted = getattr(self, "feature_names_in_", None)
        seen = None if fitted is None else fitted.tolist()
        check_feature_names(feature_names(X), seen, type(self).__name__)
        matrix = check_X(X, keep_float32=keep_float32)
        check_n_features(matrix, self.n_features_in_, self)
        return matrix


class Classifier(Estimator):
    """Turns class probabilities into labels and a score."""

    classes_: NDArray[Any]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each row, (n_rows,); of equals the first in `classes_`."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def __sklearn_tags__(self) -> Any:
        return classifier_tags()

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The share of rows, 0 to 1, whose label is predicted rightly (weighted if asked).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X, y or sample_weight is not as `fit` wants it.
        """
        predicted = self.predict(X)
        truth = self._labels_as_in_fit(y, len(predicted))
        weights = None if sample_weight is None else check_weights(sample_weight, truth.size)
        return weighted_share(predicted == truth, weights)

    def _labels_as_in_fit(self, y: ArrayLike, n_rows: int) -> NDArray[Any]:
        """y as a line of labels that can be compared with `classes_`."""
        labels = label_line(y, n_rows)
        check_kind(labels, self.classes_)
        return labels


def weighted_share(hits: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> float:
    """The share of all weight, 0 to 1, that the hits have."""
    return float(np.average(hits, weights=None if weights is None else at_most_one(weights)[0]))
