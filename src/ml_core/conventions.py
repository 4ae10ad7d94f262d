"""What scikit-learn expects to find, without importing it: only who has loaded it needs it."""

import sys
from typing import Any, TypeVar

E = TypeVar("E", bound=Exception)


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked to predict before `fit`.

    Both parents are scikit-learn's choice: ``except ValueError`` and ``hasattr`` work as expected.
    """


class ConvergenceWarning(UserWarning):
    """A fit has come to something else than was asked for."""


class DataConversionWarning(UserWarning):
    """Data came in another shape than was asked for, and was taken all the same."""


def as_theirs(own: type[E]) -> type[E]:
    """``own``; where scikit-learn is loaded, a class that is both it and its namesake there.

    So ``except`` and ``filterwarnings`` work with either name.
    """
    theirs = getattr(sys.modules.get("sklearn.exceptions"), own.__name__, None)
    if theirs is None:
        return own
    # A class made here has no name to be found under in another process: it travels as ours.
    body = {"__reduce__": lambda error: (own, error.args)}
    return type(own.__name__, (own, theirs), body)


def clusterer_tags() -> Any:
    """The tags of an estimator that clusters and transforms."""
    utils = _their_utils()
    return utils.Tags(
        estimator_type="clusterer",
        target_tags=utils.TargetTags(required=False),
        transformer_tags=utils.TransformerTags(preserves_dtype=["float64", "float32"]),
        classifier_tags=None,
        regressor_tags=None,
        input_tags=utils.InputTags(),
    )


def classifier_tags() -> Any:
    """The tags of an estimator that tells classes apart, two or more."""
    utils = _their_utils()
    return utils.Tags(
        estimator_type="classifier",
        target_tags=utils.TargetTags(required=True),
        transformer_tags=None,
        classifier_tags=utils.ClassifierTags(),
        regressor_tags=None,
        input_tags=utils.InputTags(),
    )


def as_they_want(transformed: Any, X: Any, estimator: object) -> Any:
    """What `transform` gives: as it is, or as scikit-learn was told to have it (`set_output`)."""
    wrap = getattr(sys.modules.get("sklearn.utils._set_output"), "_wrap_data_with_container", None)
    return transformed if wrap is None else wrap("transform", transformed, X, estimator)


def _their_utils() -> Any:
    # Tags must be of scikit-learn's own class; but only scikit-learn asks, so it is loaded.
    return sys.modules["sklearn.utils"]
