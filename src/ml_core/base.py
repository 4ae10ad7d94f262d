"""What every estimator shares: parameters in scikit-learn's manner, and a classifier's score."""

import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.validation import NotFittedError

Params = dict[str, Any]


class Estimator:
    """`__init__` stores its parameters unchanged; `fit` checks them and learns what ends in `_`."""

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

    def _check_is_fitted(self) -> None:
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )


class Classifier(Estimator):
    """Turns class probabilities into labels and a score."""

    classes_: NDArray[Any]
    n_features_in_: int

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each row, (n_rows,); of equals the first in `classes_`."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The share of rows, 0 to 1, whose label is predicted rightly (weighted if asked)."""
        hits = self.predict(X) == np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return float(np.average(hits, weights=weights))
