"""The CART classification tree, and ``python -m ml_core.decision_tree``."""

import sys
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ml_core.command import Command, run
from ml_core.growing import grow
from ml_core.splitting import Sample
from ml_core.tree_classifier import MaxFeatures, TreeClassifier
from ml_core.trees import Tree
from ml_core.validation import check_counts, check_labels, check_X


class DecisionTreeClassifier(TreeClassifier):
    """A classification tree grown by CART, without pruning.

    Every node is split at the value of the feature that decreases impurity most, until a node is
    pure or a limit below is met. The search is exact: all midpoints between neighbouring distinct
    values of the node are compared.

    Parameters
    ----------
    criterion : {"gini", "entropy"}
        Gini's index, or Shannon's entropy (information gain).
    max_depth : int or None
        Splits from the root to a leaf at most; None sets no limit.
    min_samples_split : int
        A node of fewer rows stays a leaf; at least 2.
    min_samples_leaf : int
        A split must leave so many rows on both sides; at least 1.
    max_features : {"sqrt", "log2"}, int, float or None
        Features drawn at random for each node: the root or the binary logarithm of their number,
        a number, a share in (0, 1], or all. If all drawn ones are constant in the node, the next
        that is not is taken.
    random_state : int or None
        Seed of those draws. With all features nothing is drawn, and of equally good splits the
        first column's wins; so the tree is the same for every seed.

    Attributes
    ----------
    tree_ : Tree
        The tree as flat arrays.
    classes_ : (n_classes,) array
        The labels, sorted.
    n_features_in_ : int
        Columns of X in `fit`.
    feature_importances_ : (n_features,) float64
        Each feature's share of the whole impurity decrease; they sum to 1 (all 0 without a split).

    Notes
    -----
    `fit` costs O(n_features x n_rows x log n_rows) per level, prediction O(depth) per row. A row
    with ``sample_weight`` w is treated as w equal rows, by the ``min_samples`` limits too.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees: the splits and
    Gini's index (chapters 2 and 4), importance (5.3; without their surrogate splits).
    Quinlan (1986), Induction of Decision Trees, Machine Learning 1: entropy and information gain.

    Examples
    --------
    >>> model = DecisionTreeClassifier().fit([[1.0], [2.0], [8.0]], ["low", "low", "high"])
    >>> model.predict([[1.5], [9.0]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: MaxFeatures = None,
        random_state: int | None = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.random_state = random_state

    @property
    def tree_(self) -> Tree:
        self._check_is_fitted()
        return self._forest.trees()[0]

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : (n_rows, n_features) array of finite numbers
        y : (n_rows,) array of strings, integers or booleans
        sample_weight : (n_rows,) array of whole numbers, or None
            How often each row counts; None counts each once.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described.
        """
        matrix = check_X(X)
        rules = self._rules(matrix.shape[1])
        classes, codes = check_labels(y, len(matrix))
        counts = check_counts(sample_weight, len(matrix))
        of_class = codes == np.arange(classes.size)[:, None]
        sample = Sample(np.ascontiguousarray(matrix.T), of_class * counts)
        tree = grow(sample, rules, np.random.default_rng(self.random_state))
        self._learn([tree], classes, matrix.shape[1])
        return self


COMMAND = Command("ml_core.decision_tree", "Decision tree", DecisionTreeClassifier)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(COMMAND, argv)


if __name__ == "__main__":
    sys.exit(main())
