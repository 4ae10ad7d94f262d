"""Accuracy of ml_core's forest and tree beside scikit-learn's: eleven data sets, the same splits.

Ours stands twice: with at most 255 bins a column ("binned"), and with every distinct value as one
("exact"). "Other seeds" is scikit-learn again: so far it is from itself. A difference of means
passes within 0.2 points or one standard error, whichever is larger. The standard error is that of a
difference of two accuracies measured on so many test rows in all, as if the splits shared no rows
and the models made their mistakes apart: it errs on the wide side. Even so one of many data sets
will be beyond it by chance: scikit-learn with other seeds shows how often, and more --splits of one
of the --data show whether a difference stays.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets, ensemble, tree
from sklearn.model_selection import train_test_split

from ml_core import DecisionTreeClassifier, RandomForestClassifier

Data = tuple[NDArray[Any], NDArray[Any]]
SPLITS = 5
TEST_SHARE = 0.3
ENOUGH = 0.002
THEIRS = "scikit-learn"


Make = Callable[[int], Any]


class Row(NamedTuple):
    """Accuracies by the name of the model; scikit-learn's comes last."""

    data: str
    shape: str
    accuracies: dict[str, float]
    n_test: int
    spreads: dict[str, float]  # the standard error of a difference, as it varies over the splits

    def cells(self) -> list[str]:
        shares = [f"{100 * share:.2f}" for share in self.accuracies.values()]
        return [self.data, self.shape, *shares, *(self._verdict(name) for name in self.spreads)]

    def passes(self, name: str) -> bool:
        return abs(self._difference(name)) <= self._allowed(name)

    def _verdict(self, name: str) -> str:
        difference, allowed = 100 * self._difference(name), 100 * self._allowed(name)
        end = "" if self.passes(name) else " no"
        return f"{difference:+.2f} (±{100 * self.spreads[name]:.2f}) of ±{allowed:.2f}{end}"

    def _difference(self, name: str) -> float:
        return self.accuracies[name] - self.accuracies[THEIRS]

    def _allowed(self, name: str) -> float:
        both = (self.accuracies[name], self.accuracies[THEIRS])
        return max(ENOUGH, math.sqrt(sum(share * (1 - share) for share in both) / self.n_test))


def known(name: str) -> Data:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y


def made(n_classes: int, n_features: int, noise: float) -> Data:
    x, y = datasets.make_classification(
        2000,
        n_features,
        n_informative=n_features // 2,
        n_classes=n_classes,
        flip_y=noise,
        random_state=n_features,
    )
    return x, y


DATA: dict[str, Callable[[], Data]] = {
    "iris": lambda: known("iris"),
    "wine": lambda: known("wine"),
    "breast cancer": lambda: known("breast_cancer"),
    "digits": lambda: known("digits"),
    "moons": lambda: datasets.make_moons(2000, noise=0.3, random_state=0),
    "circles": lambda: datasets.make_circles(2000, noise=0.2, factor=0.5, random_state=0),
    "quantiles": lambda: datasets.make_gaussian_quantiles(
        n_samples=2000, n_features=6, n_classes=4, random_state=0
    ),
    "hastie": lambda: datasets.make_hastie_10_2(2000, random_state=0),
    "two of 20": lambda: made(2, 20, 0.05),
    "seven of 16": lambda: made(7, 16, 0.01),
    "rounded": lambda: (made(3, 12, 0.1)[0].round(), made(3, 12, 0.1)[1]),
}


def models(n_trees: int) -> dict[str, dict[str, Make]]:
    """Ours with bins and with every distinct value, and scikit-learn's, once with other seeds."""
    return {
        "forest": {
            "binned": of_forests(n_trees, RandomForestClassifier),
            "exact": of_forests(n_trees, RandomForestClassifier, max_bins=None),
            "other seeds": of_forests(n_trees, ensemble.RandomForestClassifier, first=1000),
            THEIRS: of_forests(n_trees, ensemble.RandomForestClassifier),
        },
        "tree": {
            "binned": lambda seed: DecisionTreeClassifier(max_bins=255, random_state=seed),
            "exact": lambda seed: DecisionTreeClassifier(random_state=seed),
            "other seeds": lambda seed: tree.DecisionTreeClassifier(random_state=1000 + seed),
            THEIRS: lambda seed: tree.DecisionTreeClassifier(random_state=seed),
        },
    }


def of_forests(n_trees: int, make: Callable[..., Any], *, first: int = 0, **more: Any) -> Make:
    return lambda seed: make(n_trees, n_jobs=2, random_state=first + seed, **more)


def compared(name: str, makers: dict[str, Make], n_splits: int) -> Row:
    x, y = DATA[name]()
    scores, n_test = [], 0
    for seed in range(n_splits):
        parts = train_test_split(x, y, test_size=TEST_SHARE, random_state=seed, stratify=y)
        train_x, test_x, train_y, test_y = parts
        fitted = [make(seed).fit(train_x, train_y) for make in makers.values()]
        scores.append([model.score(test_x, test_y) for model in fitted])
        n_test += len(test_y)
    table = np.array(scores)
    means = dict(zip(makers, table.mean(axis=0).tolist(), strict=True))
    differences = table[:, :-1] - table[:, -1:]
    errors = differences.std(axis=0, ddof=1) / math.sqrt(n_splits)
    spreads = dict(zip(list(makers)[:-1], errors.tolist(), strict=True))
    return Row(name, f"{x.shape[0]} x {x.shape[1]}", means, n_test, spreads)


def write_table(title: str, makers: dict[str, Make], names: list[str], n_splits: int) -> None:
    shares = [f"{name} %" for name in makers]
    differences = [f"{name}: difference (standard error) of allowed" for name in list(makers)[:-1]]
    titles = [f"{title}: data", "shape", *shares, *differences]
    print(f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|")  # noqa: T201
    rows = []
    for name in names:
        rows.append(compared(name, makers, n_splits))
        print(f"| {' | '.join(rows[-1].cells())} |", flush=True)  # noqa: T201
    beyond = {name: sum(not row.passes(name) for row in rows) for name in list(makers)[:-1]}
    counts = ", ".join(f"{name} {count}" for name, count in beyond.items())
    print(f"\nBeyond what is allowed, of {len(rows)} data sets: {counts}.")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100, help="trees in each forest (100)")
    parser.add_argument("--only", choices=["forest", "tree"], help="one of the two")
    parser.add_argument("--data", choices=list(DATA), help="one of the data sets")
    parser.add_argument("--splits", type=int, default=SPLITS, help="splits of each, 2 or more (5)")
    options = parser.parse_args()
    if options.splits < 2:
        parser.error("--splits must be at least 2")
    names = list(DATA) if options.data is None else [options.data]
    for title, makers in models(options.trees).items():
        if options.only in (None, title):
            write_table(title, makers, names, options.splits)


if __name__ == "__main__":
    main()
