"""Accuracy of ml_core's forest and tree beside scikit-learn's: eleven data sets, the same splits.

A difference of means passes within 0.2 points or one standard error, whichever is larger. The
standard error is that of a difference of two accuracies measured on so many test rows in all, as if
the splits shared no rows and the models made their mistakes apart: it errs on the wide side.
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
SEEDS = 5
TEST_SHARE = 0.3
ENOUGH = 0.002


class Pair(NamedTuple):
    ours: Callable[[int], Any]
    theirs: Callable[[int], Any]


class Row(NamedTuple):
    data: str
    shape: str
    ours: float
    theirs: float
    error: float

    @property
    def passes(self) -> bool:
        return abs(self.ours - self.theirs) <= max(ENOUGH, self.error)


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


def pairs(n_trees: int) -> dict[str, Pair]:
    return {
        "forest": Pair(
            lambda seed: RandomForestClassifier(n_trees, random_state=seed),
            lambda seed: ensemble.RandomForestClassifier(n_trees, random_state=seed),
        ),
        "tree": Pair(
            lambda seed: DecisionTreeClassifier(random_state=seed),
            lambda seed: tree.DecisionTreeClassifier(random_state=seed),
        ),
    }


def compared(name: str, pair: Pair) -> Row:
    x, y = DATA[name]()
    scores, n_test = [], 0
    for seed in range(SEEDS):
        parts = train_test_split(x, y, test_size=TEST_SHARE, random_state=seed, stratify=y)
        train_x, test_x, train_y, test_y = parts
        models = pair.ours(seed), pair.theirs(seed)
        scores.append([model.fit(train_x, train_y).score(test_x, test_y) for model in models])
        n_test += len(test_y)
    ours, theirs = np.mean(scores, axis=0).tolist()
    error = math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / n_test)
    return Row(name, f"{x.shape[0]} x {x.shape[1]}", ours, theirs, error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100, help="trees in each forest (100)")
    parser.add_argument("--only", choices=["forest", "tree"], help="one of the two")
    options = parser.parse_args()
    for title, pair in pairs(options.trees).items():
        if options.only not in (None, title):
            continue
        print(f"\n| {title}: data | shape | ours % | theirs % | difference | error | |")  # noqa: T201
        print("|---|---|---|---|---|---|---|")  # noqa: T201
        for name in DATA:
            row = compared(name, pair)
            difference = 100 * (row.ours - row.theirs)
            cells = [
                row.data,
                row.shape,
                f"{100 * row.ours:.2f}",
                f"{100 * row.theirs:.2f}",
                f"{difference:+.2f}",
                f"{100 * row.error:.2f}",
                "ok" if row.passes else "no",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
