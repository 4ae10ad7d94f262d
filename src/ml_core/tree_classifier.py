"""What the decision tree and the random forest share: both are forests, one of a single tree."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.base import Classifier
from ml_core.criteria import CRITERIA
from ml_core.growing import UNLIMITED, Rules
from ml_core.onnx import forest_to_onnx
from ml_core.planting import Rows, weighed_rows
from ml_core.trees import LEAF, NODE_OF, Forest
from ml_core.validation import (
    check_integer,
    check_labels,
    check_max_bins,
    check_number,
    check_weights,
    check_X,
    feature_names,
    features_per_node,
)
from ml_core.weights import ClassWeight, check_class_weight

MaxFeatures = str | int | float | None

_INTEGER_TYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_LABEL_TYPES = ("bool", "float64", "str", *_INTEGER_TYPES)


class Learnt(NamedTuple):
    """What a fit learns from: rows that count, the classes of their labels, rules, and names."""

    rows: Rows
    classes: NDArray[Any]
    rules: Rules
    names: list[str] | None


class TreeClassifier(Classifier):
    """Everything but `__init__` and `fit`."""

    criterion: str
    max_depth: int | None
    min_samples_split: int
    min_samples_leaf: int
    min_weight_fraction_leaf: float
    max_features: MaxFeatures
    random_state: int | None
    ccp_alpha: float
    max_bins: int | None
    class_weight: ClassWeight

    feature_importances_: NDArray[np.float64]
    _forest: Forest

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        raise NotImplementedError

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The share of each class, (n_rows, n_classes) in the order of `classes_`.

        Costs O(rows x trees x depth).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If X has NaN, infinity or other columns than `fit` saw.
        """
        matrix = self._checked_as_in_fit(X, keep_float32=True)
        return self._shares_of(matrix)

    def to_onnx(self) -> bytes:
        """The model for other runtimes, in the ONNX format: write it to a file as it is.

        Its input ``X`` is (n_rows, n_features) float32. Its outputs are ``label``, (n_rows,) int64
        (0 for False, 1 for True) or text, and ``probabilities``, (n_rows, n_classes) float32.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If a class does not fit in int64, or the model is larger than 2 GiB.
        """
        self._check_is_fitted()
        return forest_to_onnx(
            self._forest.nodes,
            self._forest.roots,
            self._forest.shares,
            self.classes_,
            self.n_features_in_,
            hard=self._votes_are_hard(),
            feature_names=getattr(self, "feature_names_in_", None),
        )

    def permutation_importances(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        n_repeats: int = 5,
        random_state: int | None = None,
    ) -> NDArray[np.float64]:
        """How much accuracy is lost where one feature's values are shuffled among the rows.

        Unlike ``feature_importances_`` it can be measured on rows that `fit` did not see, and does
        not favour features of many distinct values; of features that say the same each seems
        dispensable. Breiman 2001, section 10. Costs ``n_features * n_repeats`` predictions.

        Parameters
        ----------
        X : (n_rows, n_features) array of finite numbers
        y : (n_rows,) array of labels
        n_repeats : int
            Shuffles of each feature; at least 1.
        random_state : int or None
            Seed of the shuffles.

        Returns
        -------
        (n_features, n_repeats) float64
            Accuracy before less accuracy after, -1 to 1; the mean over repeats is the importance.
        """
        check_integer("n_repeats", n_repeats, 1)
        check_integer("random_state", random_state, 0, optional=True)
        rng = np.random.default_rng(random_state)
        rows = self._checked_as_in_fit(X, keep_float32=True)
        truth = self._labels_as_in_fit(y, len(rows))
        before = self._accuracy(rows, truth)
        lost = np.empty((self.n_features_in_, n_repeats))
        for feature, repeat in np.ndindex(lost.shape):
            shuffled = rows.copy()
            shuffled[:, feature] = rng.permutation(rows[:, feature])
            lost[feature, repeat] = before - self._accuracy(shuffled, truth)
        return lost

    def _accuracy(self, rows: NDArray[Any], labels: NDArray[Any]) -> float:
        best = self._shares_of(rows).argmax(axis=1)
        return float(np.mean(self.classes_[best] == labels))

    def _shares_of(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        return self._forest.predict_proba(rows)

    def _votes_are_hard(self) -> bool:
        return False

    def _rows(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Learnt:
        """What `fit` was given, checked."""
        names = feature_names(X)
        matrix = check_X(X, keep_float32=True)
        rules = self._rules(matrix.shape[1])
        classes, labels = check_labels(y, len(matrix))
        weights = None if sample_weight is None else check_weights(sample_weight, len(matrix))
        return Learnt(weighed_rows(matrix, labels, weights), classes, rules, names)

    def _rules(self, n_features: int) -> Rules:
        self.check_params()
        return Rules(
            criterion=CRITERIA[self.criterion],
            max_depth=UNLIMITED if self.max_depth is None else min(self.max_depth, UNLIMITED),
            min_samples_split=min(self.min_samples_split, UNLIMITED),
            min_samples_leaf=min(self.min_samples_leaf, UNLIMITED),
            features_per_node=features_per_node(self.max_features, n_features),
            min_weight_fraction_leaf=float(self.min_weight_fraction_leaf),
            ccp_alpha=float(self.ccp_alpha),
        )

    def check_params(self) -> None:
        if not isinstance(self.criterion, str) or self.criterion not in CRITERIA:
            raise ValueError(f"criterion must be one of {list(CRITERIA)}, got {self.criterion!r}")
        check_integer("max_depth", self.max_depth, 1, optional=True)
        check_integer("min_samples_split", self.min_samples_split, 2)
        check_integer("min_samples_leaf", self.min_samples_leaf, 1)
        check_integer("random_state", self.random_state, 0, optional=True)
        check_number("ccp_alpha", self.ccp_alpha, 0.0)
        check_number("min_weight_fraction_leaf", self.min_weight_fraction_leaf, 0.0, 0.5)
        check_max_bins(self.max_bins)
        check_class_weight(self.class_weight, of_subsample=self._has_subsamples())
        features_per_node(self.max_features, 1)

    def _learn(self, learnt: Learnt, forest: Forest, decreases: NDArray[np.float64]) -> None:
        """Take over what `fit` found, all at once: a fit that fails leaves the old model whole.

        ``decreases`` are those of each tree, as in `Grove`.
        """
        importances = mean_importances(decreases)
        self._forest = forest
        self.feature_importances_ = importances
        self.classes_ = learnt.classes
        self.n_features_in_ = importances.size
        self._learn_names(learnt.names)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        self._check_is_fitted()
        self.check_params()
        if self._forest.roots.size != self._n_trees():
            raise ValueError(
                f"the parameters ask for {self._n_trees()} trees, but {self._forest.roots.size} "
                "were grown: fit the model again before it is saved"
            )
        type_name = "str" if self.classes_.dtype.kind == "U" else self.classes_.dtype.name
        facts = {"classes": {"type": type_name, "values": self.classes_.tolist()}}
        forest, n_classes = self._forest, self.classes_.size
        arrays = {name: forest.nodes[name] for name in ("feature", "left")}
        # Leaves have no threshold. The lines of pure leaves, which come first, are always the same.
        arrays["threshold"] = forest.nodes["threshold"][arrays["feature"] != LEAF]
        arrays |= {"shares": forest.shares[n_classes:], "roots": forest.roots}
        return facts, {**arrays, "importances": self.feature_importances_}

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.check_params()
        importances = arrays["importances"]
        if importances.ndim != 1 or importances.size == 0 or not np.isfinite(importances).all():
            raise ValueError("the model's feature importances are not a line of finite numbers")
        shares = arrays["shares"]
        if shares.ndim != 2:
            raise ValueError("the model's class shares do not have the shape of a forest")
        # Before the lines of pure leaves are made: a width that is only claimed costs nothing.
        classes = _restored_classes(facts.get("classes"), shares.shape[1])
        forest = _restored_forest(arrays)
        forest.check(importances.size)
        if forest.roots.size != self._n_trees():
            raise ValueError("the model does not hold as many trees as its parameters say")
        self.classes_ = classes
        self.feature_importances_ = importances
        self.n_features_in_ = importances.size
        self._forest = forest

    def _n_trees(self) -> int:
        return 1

    def _has_subsamples(self) -> bool:
        return False


def mean_importances(decreases: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over trees of each one's shares of the decrease: every tree has the same say."""
    total = np.zeros(decreases.shape[1])
    for of_tree in decreases:
        total += _shares(of_tree)
    return _shares(total)


def _shares(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled to sum 1; all 0 where there is nothing, as in a tree without a split."""
    total = math.fsum(parts.tolist())
    return parts / total if total > 0 else np.zeros(parts.size)


def _restored_forest(arrays: Mapping[str, NDArray[Any]]) -> Forest:
    threshold, shares, feature = arrays["threshold"], arrays["shares"], arrays["feature"]
    inner = feature != LEAF
    if feature.shape != arrays["left"].shape or threshold.shape != (np.count_nonzero(inner),):
        raise ValueError("the model's nodes do not have the shape of a forest")
    nodes = np.zeros(feature.shape, NODE_OF[threshold.dtype])
    nodes["threshold"][inner] = threshold
    for name in ("feature", "left"):
        nodes[name] = arrays[name]
    shares = np.concatenate([np.eye(shares.shape[1]), shares])
    return Forest(nodes, shares, arrays["roots"])


def _restored_classes(saved: object, n_classes: int) -> NDArray[Any]:
    if not isinstance(saved, dict) or saved.get("type") not in _LABEL_TYPES:
        raise ValueError("the model's classes are not of a known type")
    values = saved.get("values")
    if not isinstance(values, list) or len(values) != n_classes:
        raise ValueError("the model's classes do not match its class shares")
    try:
        classes = np.array(values, dtype=saved["type"])
    except (OverflowError, TypeError) as error:
        raise ValueError("the model's classes are not of their type") from error
    if classes.tolist() != values or not np.array_equal(np.unique(classes), classes):
        raise ValueError("the model's classes are not distinct labels in order")
    return classes
