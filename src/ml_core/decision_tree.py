"""The CART classification tree, and ``python -m ml_core.decision_tree``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from numpy.typing import ArrayLike

from ml_core.command import Command, run
from ml_core.growing import Grove
from ml_core.planting import plant, prepared, seeds_of
from ml_core.pruning import PruningPath, pruning_path
from ml_core.tree_classifier import Learnt, MaxFeatures, TreeClassifier
from ml_core.tree_text import tree_as_text
from ml_core.trees import Gathering, Tree
from ml_core.validation import check_integer
from ml_core.weights import ClassWeight


class DecisionTreeClassifier(TreeClassifier):
    """A classification tree grown, and if asked pruned, by CART.

    Every node is split at the value of the feature that decreases impurity most, until a node is
    pure or a limit below is met. The search is exact, unless ``max_bins`` is set: all midpoints
    between neighbouring distinct values of the node are compared.

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
    min_weight_fraction_leaf : float
        A split must leave such a share of all weight on both sides, 0 to 0.5.
    max_features : {"sqrt", "log2"}, int, float or None
        Features drawn at random for each node: the root or the binary logarithm of their number,
        a number, a share in (0, 1], or all. If all drawn ones are constant in the node, the next
        that is not is taken.
    ccp_alpha : float
        What a leaf must earn, in impurity times its share of the rows: branches that earn no more
        are cut off afterwards (minimal cost-complexity pruning); 0 prunes nothing.
    max_bins : int or None
        Before trees are grown, the values of a column are put into so many bins of about equally
        many rows, 2 to 65,535, between which splits are looked for; columns of no more distinct
        values are not changed by it. None looks between all values.
    class_weight : dict, "balanced" or None
        By what the weight of a row is multiplied, by its label; labels that a dict does not name
        have 1. "balanced" lets every class weigh the same: n_rows / (n_classes x its rows), where
        rows count as they weigh (scikit-learn's trees count them once, whatever they weigh).
    random_state : int or None
        Seed of those draws, and of the lots that decide among columns whose best splits are
        equally good: where there is neither, the tree is the same for every seed.

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
    with a whole ``sample_weight`` w is treated as w equal rows, by the ``min_samples`` limits too;
    with fractional weights those count rows. Thresholds have the type of X in `fit`: float32 or
    float64.

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
        min_weight_fraction_leaf: float = 0.0,
        max_features: MaxFeatures = None,
        ccp_alpha: float = 0.0,
        max_bins: int | None = None,
        class_weight: ClassWeight = None,
        random_state: int | None = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
        self.max_bins = max_bins
        self.class_weight = class_weight
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
        sample_weight : (n_rows,) array of numbers of at least 0, or None
            What each row weighs; None is 1. Where all are whole numbers, a row counts as often.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described.
        """
        learnt = self._rows(X, y, sample_weight)
        grown, gathering = self._grown(learnt), Gathering(1, learnt.classes.size)
        gathering.add(grown.nodes, grown.lines, grown.roots)
        self._learn(learnt, gathering.forest(), grown.decreases)
        return self

    def cost_complexity_pruning_path(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> PruningPath:
        """The values of ``ccp_alpha`` at which a branch goes, and the risk of what is left.

        The arguments are those of `fit`; nothing is learnt.
        """
        learnt = self._rows(X, y, sample_weight)
        rules = replace(learnt.rules, ccp_alpha=0.0, keep_masses=True)
        grown = self._grown(learnt._replace(rules=rules))
        assert grown.masses is not None
        return pruning_path(grown.nodes, grown.masses, rules.criterion)

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

    def _grown(self, learnt: Learnt) -> Grove:
        options: dict[str, Any] = {"max_bins": self.max_bins, "class_weight": self.class_weight}
        plan, ground = prepared(learnt.rows, learnt.classes, learnt.rules, **options)
        return plant(plan, *ground, seeds_of(self.random_state, 1)[0]).grove


COMMAND = Command("ml_core.decision_tree", "Decision tree", DecisionTreeClassifier)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(COMMAND, argv)


if __name__ == "__main__":
    sys.exit(main())
