"""Breiman's random forest, and ``python -m ml_core.random_forest``."""

import math
import sys
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_core.base import weighted_share
from ml_core.command import Command, run
from ml_core.parallel import each, n_workers
from ml_core.planting import Planted, Rows, in_turns, plant_some, prepared, seeds_of
from ml_core.tree_classifier import Learnt, MaxFeatures, TreeClassifier
from ml_core.trees import MOST_NODES, Gathering, Tree
from ml_core.validation import check_flag, check_integer, is_integer
from ml_core.weights import ClassWeight

Progress = Callable[[int, int], None]


class RandomForestClassifier(TreeClassifier):
    """Many CART trees, each on its own bootstrap sample with features drawn anew at every node.

    Parameters
    ----------
    n_estimators : int
        Trees in the forest; at least 1.
    criterion, max_depth, min_samples_split, min_samples_leaf, min_weight_fraction_leaf, ccp_alpha
        As in `DecisionTreeClassifier`; a row counts as often as the bootstrap drew it.
    max_features : {"sqrt", "log2"}, int, float or None
        Features drawn for each node, as in `DecisionTreeClassifier`; Breiman's m.
    max_bins : int or None
        As in `DecisionTreeClassifier`: the bins of a column, or None to look between all values.
    class_weight : dict, "balanced", "balanced_subsample" or None
        As in `DecisionTreeClassifier`; "balanced_subsample" balances the rows that each tree drew.
    bootstrap : bool
        Draw n_rows rows with replacement for each tree; otherwise each sees all rows once.
    voting : {"soft", "hard"}
        Whether a tree answers with the class shares in its leaf, or with one vote for the largest
        (of equal ones the first), as Breiman has it. Leaves that are pure, as without limits, make
        the two the same.
    oob_score : bool
        Also score the forest on the rows that each tree did not see; needs ``bootstrap``.
    n_jobs : int or None
        Trees grown at once on threads: a number, -1 for all processors, None for 1. Where joblib is
        loaded, its ``parallel_config`` can send them to other processes or machines. The forest is
        the same however it was grown.
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
    feature_names_in_ : (n_features,) array of str
        Their names, if X had names.
    feature_importances_ : (n_features,) float64
        Mean over trees of each feature's share of the impurity decrease, scaled to sum 1 (all 0
        if no tree has a split). It favours features of many distinct values.
    oob_score_ : float
        Only with ``oob_score``: accuracy, 0 to 1, over the rows left out by at least one tree;
        NaN, with a warning, if there is none.

    Notes
    -----
    The forest answers with the mean of its trees' answers. `fit` costs
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
        min_weight_fraction_leaf: float = 0.0,
        max_features: MaxFeatures = "sqrt",
        ccp_alpha: float = 0.0,
        max_bins: int | None = 255,
        class_weight: ClassWeight = None,
        bootstrap: bool = True,
        voting: str = "soft",
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
        self.max_bins = max_bins
        self.class_weight = class_weight
        self.bootstrap = bootstrap
        self.voting = voting
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def trees_(self) -> tuple[Tree, ...]:
        self._check_is_fitted()
        return self._forest.trees()

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        progress: Progress | None = None,
    ) -> Self:
        """Grow the forest.

        Parameters
        ----------
        X : (n_rows, n_features) array of finite numbers
        y : (n_rows,) array of strings, integers or booleans
        sample_weight : (n_rows,) array of numbers of at least 0, or None
            What each row weighs; None is 1. Where all are whole numbers a row counts as if it stood
            there so many times. Otherwise a bootstrap draws as many rows as weigh anything, by
            their weights, and without one the weights are masses as in `DecisionTreeClassifier`.
        progress : callable or None
            Called after each tree with the trees done and the trees in all. What it raises ends
            `fit` and leaves the estimator as it was, so it can also cancel.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described.
        """
        learnt = self._rows(X, y, sample_weight)
        shape = (len(learnt.rows.X), learnt.classes.size)
        votes = np.zeros(shape) if self.oob_score else None
        n_trees, done, decreases = int(self.n_estimators), 0, []
        gathering = Gathering(n_trees, shape[1])
        with closing(self._planted(learnt)) as growing:
            for some in growing:
                if votes is not None:
                    _add_votes(votes, some, hard=self._votes_are_hard())
                gathering.add(some.grove.nodes, some.grove.lines, some.grove.roots)
                decreases.append(some.grove.decreases)
                for _ in some.grove.roots:
                    done += 1
                    if progress is not None:
                        progress(done, n_trees)
        self._learn(learnt, gathering.forest(), np.concatenate(decreases))
        self.__dict__.pop("oob_score_", None)
        if votes is not None:
            self._learn_oob_score(votes, learnt.rows)
        return self

    def _planted(self, learnt: Learnt) -> Generator[Planted]:
        plan, ground = prepared(
            learnt.rows,
            learnt.classes,
            learnt.rules,
            max_bins=self.max_bins,
            class_weight=self.class_weight,
            bootstrap=bool(self.bootstrap),
            oob=bool(self.oob_score),
            n_jobs=self.n_jobs,
        )
        seeds = seeds_of(self.random_state, int(self.n_estimators))
        turns = in_turns(seeds, len(learnt.rows.X), n_workers(self.n_jobs))
        with closing(each(plant_some, turns, self.n_jobs, (plan, *ground))) as planting:
            for turn in planting:
                yield from turn

    def _learn_oob_score(self, votes: NDArray[np.float64], rows: Rows) -> None:
        judged = votes.any(axis=1)
        if not judged.any():
            warnings.warn(
                "No row was left out of any tree, so oob_score_ is NaN; grow more trees.",
                stacklevel=3,
            )
            self.oob_score_ = math.nan
            return
        hits = votes[judged].argmax(axis=1) == rows.labels[judged]
        weights = None if rows.weights is None else rows.weights[judged]
        self.oob_score_ = weighted_share(hits, weights)

    def check_params(self) -> None:
        super().check_params()
        check_integer("n_estimators", self.n_estimators, 1)
        if self.n_estimators > MOST_NODES:
            raise ValueError(f"n_estimators must be at most {MOST_NODES}, got {self.n_estimators}")
        if self.n_jobs is not None and (not is_integer(self.n_jobs) or self.n_jobs == 0):
            raise ValueError(f"n_jobs must be an integer other than 0 or None, got {self.n_jobs!r}")
        check_flag("bootstrap", self.bootstrap)
        check_flag("oob_score", self.oob_score)
        if not isinstance(self.voting, str) or self.voting not in ("soft", "hard"):
            raise ValueError(f"voting must be 'soft' or 'hard', got {self.voting!r}")
        if self.oob_score and not self.bootstrap:
            raise ValueError("Out of bag estimation only available if bootstrap=True")

    def _shares_of(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        hard = self._votes_are_hard()
        return self._forest.predict_proba(rows, hard=hard, n_jobs=self.n_jobs)

    def _votes_are_hard(self) -> bool:
        return self.voting == "hard"

    def _n_trees(self) -> int:
        return int(self.n_estimators)

    def _has_subsamples(self) -> bool:
        return True

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


def _add_votes(votes: NDArray[np.float64], one: Planted, *, hard: bool) -> None:
    """What a tree says of the rows that it did not see."""
    assert one.lines is not None
    answers = np.concatenate([np.eye(votes.shape[1]), one.grove.lines])
    if hard:
        answers = np.eye(votes.shape[1])[answers.argmax(axis=1)]
    votes[one.left_out] += answers[one.lines]


COMMAND = Command(
    "ml_core.random_forest", "Random forest", RandomForestClassifier, has_n_estimators=True
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return run(COMMAND, argv)


if __name__ == "__main__":
    sys.exit(main())
