"""The CART classification tree, and ``python -m ml_core.decision_tree``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.command import Command, run
from ml_core.growing import Grown, Rules, grow
from ml_core.pruning import PruningPath, pruning_path
from ml_core.splitting import Sample
from ml_core.tree_classifier import MaxFeatures, TreeClassifier
from ml_core.tree_text import tree_as_text
from ml_core.trees import Tree
from ml_core.validation import check_counts, check_integer, check_labels, check_X, feature_names


class DecisionTreeClassifier(TreeClassifier):
    """A classification tree grown, and if asked pruned, by CART.

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
    ccp_alpha : float
        What a leaf must earn, in impurity times its share of the rows: branches that earn no more
        are cut off afterwards (minimal cost-complexity pruning); 0 prunes nothing.
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
    feature_names_in_ : (n_features,) array of str
        Their names, if X had names.
    feature_importances_ : (n_features,) float64
        Each feature's share of the whole impurity decrease; they sum to 1 (all 0 without a split).

    Notes
    -----
    `fit` costs O(n_features x n_rows x log n_rows) per level, prediction O(depth) per row. A row
    with ``sample_weight`` w is treated as w equal rows, by the ``min_samples`` limits too.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), Classification and Regression Trees: the splits and
    Gini's index (chapters 2 and 4), importance (5.3; without their surrogate splits),
    pruning (chapter 3).
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
        ccp_alpha: float = 0.0,
        random_state: int | None = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
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
        names = feature_names(X)
        matrix = check_X(X)
        rules = self._rules(matrix.shape[1])
        grown, classes = self._grown(matrix, y, sample_weight, rules)
        self._learn([grown], classes, matrix.shape[1])
        self._learn_names(names)
        return self

    def cost_complexity_pruning_path(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> PruningPath:
        """The values of ``ccp_alpha`` at which a branch goes, and the risk of what is left.

        The arguments are those of `fit`; nothing is learnt.
        """
        matrix = check_X(X)
        rules = replace(self._rules(matrix.shape[1]), ccp_alpha=0.0)
        grown, _ = self._grown(matrix, y, sample_weight, rules)
        return pruning_path(*grown, rules.criterion)

    def export_text(self, *, feature_names: Sequence[str] | None = None, decimals: int = 2) -> str:
        """The tree as text, a line a node, in the form of scikit-learn's `export_text`.

        ``feature_names`` stand for the columns; None takes those that `fit` saw, or feature_0,
        feature_1 and so on.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If there are not as many names as columns, or decimals is below 0.
        """
        self._check_is_fitted()
        check_integer("decimals", decimals, 0)
        names = feature_names
        if names is None:
            unnamed = [f"feature_{column}" for column in range(self.n_features_in_)]
            names = getattr(self, "feature_names_in_", unnamed)
        if len(names) != self.n_features_in_:
            raise ValueError(
                f"feature_names must contain {self.n_features_in_} elements, got {len(names)}"
            )
        return tree_as_text(self.tree_, names, self.classes_.tolist(), decimals)

    def _grown(
        self,
        matrix: NDArray[np.float64],
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        rules: Rules,
    ) -> tuple[Grown, NDArray[Any]]:
        """The tree and the classes."""
        classes, codes = check_labels(y, len(matrix))
        counts = check_counts(sample_weight, len(matrix))
        of_class = codes == np.arange(classes.size)[:, None]
        sample = Sample(np.ascontiguousarray(matrix.T), of_class * counts)
        return grow(sample, rules, np.random.default_rng(self.random_state)), classes


COMMAND = Command("ml_core.decision_tree", "Decision tree", DecisionTreeClassifier)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(COMMAND, argv)


if __name__ == "__main__":
    sys.exit(main())
