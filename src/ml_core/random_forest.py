"""Breiman's random forest, and ``python -m ml_core.random_forest``."""

import math
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.command import Command, run
from ml_core.growing import Rules, grow
from ml_core.splitting import Sample
from ml_core.tree_classifier import MaxFeatures, TreeClassifier
from ml_core.trees import Forest, Tree
from ml_core.validation import check_flag, check_integer, check_labels, check_X

Progress = Callable[[int, int], None]


class RandomForestClassifier(TreeClassifier):
    """Many CART trees, each on its own bootstrap sample with features drawn anew at every node.

    Parameters
    ----------
    n_estimators : int
        Trees in the forest; at least 1.
    criterion, max_depth, min_samples_split, min_samples_leaf
        As in `DecisionTreeClassifier`; a row counts as often as the bootstrap drew it.
    max_features : {"sqrt", "log2"}, int, float or None
        Features drawn for each node, as in `DecisionTreeClassifier`; Breiman's m.
    bootstrap : bool
        Draw n_rows rows with replacement for each tree; otherwise each sees all rows once.
    oob_score : bool
        Also score the forest on the rows that each tree did not see; needs ``bootstrap``.
    random_state : int or None
        Seed. Each tree has its own seed spawned from it, so no tree depends on the one before.

    Attributes
    ----------
    trees_ : tuple of Tree
        The trees as flat arrays.
    classes_ : (n_classes,) array
        The labels, sorted.
    n_features_in_ : int
        Columns of X in `fit`.
    feature_importances_ : (n_features,) float64
        Mean over trees of each feature's share of the impurity decrease, scaled to sum 1 (all 0
        if no tree has a split). It favours features of many distinct values.
    oob_score_ : float
        Only with ``oob_score``: accuracy, 0 to 1, over the rows left out by at least one tree;
        NaN, with a warning, if there is none.

    Notes
    -----
    The forest answers with the mean of the trees' class shares where Breiman lets each tree cast
    one vote; while leaves are pure, as without limits, the two are the same. `fit` costs
    O(n_estimators x max_features x n_rows x log n_rows) per level, prediction
    O(n_estimators x depth) per row.

    References
    ----------
    Breiman (2001), Random Forests, Machine Learning 45: Forest-RI (section 4), out-of-bag
    estimates (3.1). Breiman (1996), Bagging Predictors, Machine Learning 24: the bootstrap.
    Breiman, Friedman, Olshen and Stone (1984) and Quinlan (1986): see `DecisionTreeClassifier`.

    Examples
    --------
    >>> model = RandomForestClassifier(n_estimators=10, random_state=0)
    >>> model.fit([[1.0], [2.0], [8.0], [9.0]], [0, 0, 1, 1]).predict([[1.5], [8.5]]).tolist()
    [0, 1]
    """

    oob_score_: float

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: MaxFeatures = "sqrt",
        bootstrap: bool = True,
        oob_score: bool = False,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.random_state = random_state

    @property
    def trees_(self) -> tuple[Tree, ...]:
        self._check_is_fitted()
        return self._forest.trees()

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Grow the forest.

        Parameters
        ----------
        X : (n_rows, n_features) array of finite numbers
        y : (n_rows,) array of strings, integers or booleans
        progress : callable or None
            Called after each tree with the trees done and the trees in all. What it raises ends
            `fit` and leaves the estimator as it was, so it can also cancel.

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described.
        """
        matrix = check_X(X)
        rules = self._rules(matrix.shape[1])
        classes, codes = check_labels(y, len(matrix))
        of_class = (codes == np.arange(classes.size)[:, None]).astype(np.float64)
        whole = Sample(np.ascontiguousarray(matrix.T), of_class)
        votes = np.zeros((len(matrix), classes.size))
        trees: list[Tree] = []
        for seed in np.random.SeedSequence(self.random_state).spawn(int(self.n_estimators)):
            tree, left_out = self._grow_one(whole, rules, np.random.default_rng(seed))
            if self.oob_score and left_out.size:
                votes[left_out] += Forest.of([tree]).predict_proba(matrix[left_out])
            trees.append(tree)
            if progress is not None:
                progress(len(trees), int(self.n_estimators))
        self._learn(trees, classes, matrix.shape[1])
        self._learn_oob_score(votes, codes)
        return self

    def _grow_one(
        self, whole: Sample, rules: Rules, rng: np.random.Generator
    ) -> tuple[Tree, NDArray[np.intp]]:
        """A tree and the rows it did not see."""
        n_rows = whole.columns.shape[1]
        if not self.bootstrap:
            return grow(whole, rules, rng), np.empty(0, dtype=np.intp)
        drawn = np.bincount(rng.integers(n_rows, size=n_rows), minlength=n_rows)
        sample = Sample(whole.columns, whole.class_counts * drawn)
        return grow(sample, rules, rng), np.flatnonzero(drawn == 0)

    def _learn_oob_score(self, votes: NDArray[np.float64], codes: NDArray[np.intp]) -> None:
        self.__dict__.pop("oob_score_", None)
        if not self.oob_score:
            return
        judged = votes.any(axis=1)
        if not judged.any():
            warnings.warn(
                "No row was left out of any tree, so oob_score_ is NaN; grow more trees.",
                stacklevel=3,
            )
            self.oob_score_ = math.nan
            return
        self.oob_score_ = float((votes[judged].argmax(axis=1) == codes[judged]).mean())

    def check_params(self) -> None:
        super().check_params()
        check_integer("n_estimators", self.n_estimators, 1)
        check_flag("bootstrap", self.bootstrap)
        check_flag("oob_score", self.oob_score)
        if self.oob_score and not self.bootstrap:
            raise ValueError("Out of bag estimation only available if bootstrap=True")

    def _n_trees(self) -> int:
        return int(self.n_estimators)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        facts, arrays = super()._state()
        score = getattr(self, "oob_score_", None)
        # JSON has no NaN: null stands for it, and no entry for "not asked for".
        if score is not None:
            facts["oob_score"] = None if math.isnan(score) else score
        return facts, arrays

    def _restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        super()._restore(facts, arrays)
        if "oob_score" in facts:
            score = math.nan if facts["oob_score"] is None else facts["oob_score"]
            if not isinstance(score, float) or score < 0.0 or score > 1.0:
                raise ValueError("the model's oob_score is not a share")
            self.oob_score_ = score


COMMAND = Command(
    "ml_core.random_forest", "Random forest", RandomForestClassifier, has_n_estimators=True
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(COMMAND, argv)


if __name__ == "__main__":
    sys.exit(main())
