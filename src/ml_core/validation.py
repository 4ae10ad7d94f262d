"""What the estimators accept; refusals use scikit-learn's words, which people search for."""

import math
import sys
import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.conventions import DataConversionWarning, as_theirs

_BINS = range(2, 65_536)


def check_X(X: ArrayLike, *, keep_float32: bool = False) -> NDArray[Any]:
    """X as a finite float64 matrix of at least one row and one column.

    ``keep_float32`` leaves float32 as it is.
    """
    if hasattr(X, "toarray"):
        raise TypeError(
            "Sparse data was passed, but dense data is required. Use '.toarray()' to convert to a "
            "dense numpy array."
        )
    matrix = np.asarray(X)
    if matrix.dtype.kind == "c":
        raise ValueError("Complex data not supported")
    if not (keep_float32 and matrix.dtype == np.float32):
        matrix = matrix.astype(np.float64, copy=False)
    if not matrix.flags.aligned:
        # A view into packed records, say: the kernels read whole numbers at their places.
        matrix = matrix.copy()
    _check_shape(matrix)
    check_finite(matrix, "X")
    return matrix


def _check_shape(matrix: NDArray[Any]) -> None:
    if matrix.ndim > 2:
        raise ValueError(f"Found array with dim {matrix.ndim}, while dim <= 2 is required.")
    if matrix.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {matrix.ndim}D array instead. Reshape your data either using "
            "array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it "
            "contains a single sample."
        )
    for size, what in zip(matrix.shape, ("sample(s)", "feature(s)"), strict=True):
        if size == 0:
            raise ValueError(
                f"Found array with 0 {what} (shape={matrix.shape}) while a minimum of 1 is "
                "required."
            )


def check_finite(values: NDArray[Any], name: str) -> None:
    # One pass without an array of answers; a sum of finite numbers may overflow, so ask again.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()) or np.isfinite(values).all():
            return
    if np.isnan(values).any():
        raise ValueError(f"Input {name} contains NaN.")
    raise ValueError(f"Input {name} contains infinity or a value too large for {values.dtype!r}.")


def check_n_features(X: NDArray[Any], expected: int, estimator: object) -> None:
    if X.shape[1] != expected:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(estimator).__name__} is expecting "
            f"{expected} features as input."
        )


def feature_names(X: object) -> list[str] | None:
    """The names of a data frame's columns; None if it has none or they are not text."""
    names = list(getattr(X, "columns", ()))
    of_text = [isinstance(name, str) for name in names]
    if any(of_text) and not all(of_text):
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your "
            f"input has {sorted({type(name).__name__ for name in names})} as feature name / column "
            "name types. If you want feature names to be stored and validated, you must convert "
            "them all to strings, by using X.columns = X.columns.astype(str) for example."
        )
    return names if any(of_text) else None


def check_feature_names(names: list[str] | None, fitted: list[str] | None, who: str) -> None:
    """Refuse other names than `fit` saw; warn where only one of the two has names."""
    if names is None or fitted is None:
        if fitted is not None:
            warn(f"X does not have valid feature names, but {who} was fitted with feature names")
        elif names is not None:
            warn(f"X has feature names, but {who} was fitted without feature names")
        return
    if names == fitted:
        return
    lines = ["The feature names should match those that were passed during fit."]
    unseen, missing = sorted({*names} - {*fitted}), sorted({*fitted} - {*names})
    for title, some in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        if some:
            lines += [title, *(f"- {name}" for name in some[:5]), *["- ..."] * (len(some) > 5)]
    if not unseen and not missing:
        lines.append("Feature names must be in the same order as they were in fit.")
    raise ValueError("\n".join([*lines, ""]))


def warn(message: str) -> None:
    # Four calls lie between here and the line of the caller's code.
    warnings.warn(message, UserWarning, stacklevel=6)


def check_labels(y: ArrayLike, n_rows: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The distinct labels in order, and for each row the position of its label in them."""
    labels = label_line(y, n_rows, warns=True)
    if labels.dtype.kind == "f":
        labels = labels.astype(np.float64)
        check_finite(labels, "y")
        _check_discrete(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    return classes, codes


def label_line(y: ArrayLike, n_rows: int, *, warns: bool = False) -> NDArray[Any]:
    """The labels of so many rows, (n_rows,); a single column of them is taken, too."""
    if y is None:
        raise ValueError("Expected array-like (array or non-string sequence), got None")
    labels = _as_label_array(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.ravel()
        if warns:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the "
                "shape of y to (n_samples, ), for example using ravel().",
                as_theirs(DataConversionWarning),
                stacklevel=5,
            )
    if labels.ndim != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {labels.shape} instead.")
    if labels.size != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n_rows}, {labels.size}]"
        )
    return labels


def check_kind(labels: NDArray[Any], classes: NDArray[Any]) -> None:
    """Refuse to compare text with numbers, which are never equal."""
    if (labels.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise ValueError(
            "Mix of label input types (string and number): y must hold labels such as those that "
            "were passed during fit"
        )


def _as_label_array(y: ArrayLike) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.dtype.kind in "OU":
        cells = labels.ravel().tolist()
        kinds = {str if isinstance(cell, str) else type(cell) for cell in cells}
        if str in kinds and len(kinds) > 1:
            raise ValueError("y must hold only strings or only numbers, not a mixture of them")
        # Rebuilt from its cells, text gets the width of its longest label and no more, so that
        # the same labels give the same saved model whatever array they came in.
        labels = np.array(cells).reshape(labels.shape)
    if labels.dtype.kind not in "biufU":
        raise ValueError(
            "Unknown label type: unknown. Labels must be strings, integers or booleans."
        )
    return labels


def _check_discrete(labels: NDArray[np.float64]) -> None:
    if (labels != np.floor(labels)).any():
        raise ValueError(
            "Unknown label type: continuous. Maybe you are trying to fit a classifier, which "
            "expects discrete classes on a regression target with continuous values."
        )


def check_weights(sample_weight: ArrayLike | None, n_rows: int) -> NDArray[np.float64]:
    """How much each row counts: at least 0, not all 0; one number for all; None for 1."""
    weights = np.asarray(1.0 if sample_weight is None else sample_weight, dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected ({n_rows},)!")
    check_finite(weights, "sample_weight")
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def check_integer(name: str, value: object, minimum: int, *, optional: bool = False) -> None:
    """``optional`` also allows None."""
    if optional and value is None:
        return
    if not (isinstance(value, Integral) and is_integer(value) and int(value) >= minimum):
        alternative = " or None" if optional else ""
        raise ValueError(
            f"{name} must be an integer of at least {minimum}{alternative}, got {value!r}"
        )


def check_max_bins(max_bins: object) -> None:
    if max_bins is None:
        return
    if not (isinstance(max_bins, Integral) and is_integer(max_bins) and int(max_bins) in _BINS):
        raise ValueError(
            f"max_bins must be an integer from 2 to {_BINS[-1]} or None, got {max_bins!r}"
        )


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def check_number(
    name: str, value: object, minimum: float, maximum: float = sys.float_info.max
) -> None:
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        number = float(value)
    if not minimum <= number <= maximum:
        most = "" if maximum == sys.float_info.max else f" and at most {maximum}"
        raise ValueError(
            f"{name} must be a finite number of at least {minimum}{most}, got {value!r}"
        )


def features_per_node(max_features: object, n_features: int) -> int:
    """The number of features that ``max_features`` means for data of ``n_features`` columns."""
    if max_features is None:
        return n_features
    if isinstance(max_features, str):
        if max_features == "sqrt":
            return max(1, math.isqrt(n_features))
        if max_features == "log2":
            return max(1, int(math.log2(n_features)))
    elif isinstance(max_features, Integral) and is_integer(max_features) and int(max_features) >= 1:
        return min(int(max_features), n_features)
    elif isinstance(max_features, Real) and not is_integer(max_features):
        share = float(max_features)
        if not isinstance(max_features, bool) and 0.0 < share <= 1.0:
            return max(1, int(share * n_features))
    raise ValueError(
        "max_features must be 'sqrt', 'log2', an integer of at least 1, a number in (0, 1] "
        f"or None, got {max_features!r}"
    )
