"""Accuracy of ml_core's forest and tree beside scikit-learn's: eleven data sets, the same splits.

Ours stands twice: with at most 255 bins a column ("binned"), and with every distinct value as one
("exact"). "Other seeds" is scikit-learn again: so far it is from itself. A difference of means
passes within 0.2 points or one standard error, whichever is larger. The standard error is that of a
difference of two accuracies measured on so many test rows in all, as if the splits shared no rows
and the models made their mistakes apart: it errs on the wide side.
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


Make = Callable[[int], Any]


class Row(NamedTuple):
    """Accuracies by the name of the model; scikit-learn's comes last."""

    data: str
    shape: str
    accuracies: dict[str, float]
    n_test: int

    def cells(self) -> list[str]:
        *own, theirs = self.accuracies.values()
        shares = [f"{100 * share:.2f}" for share in self.accuracies.values()]
        verdicts = [verdict(one, theirs, self.n_test) for one in own]
        return [self.data, self.shape, *shares, *verdicts]


def verdict(ours: float, theirs: float, n_test: int) -> str:
    error = math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / n_test)
    passes = abs(ours - theirs) <= max(ENOUGH, error)
    return (
        f"{100 * (ours - theirs):+.2f} of ±{100 * max(ENOUGH, error):.2f}{'' if passes else ' no'}"
    )


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
            "scikit-learn": of_forests(n_trees, ensemble.RandomForestClassifier),
        },
        "tree": {
            "binned": lambda seed: DecisionTreeClassifier(max_bins=255, random_state=seed),
            "exact": lambda seed: DecisionTreeClassifier(random_state=seed),
            "other seeds": lambda seed: tree.DecisionTreeClassifier(random_state=1000 + seed),
            "scikit-learn": lambda seed: tree.DecisionTreeClassifier(random_state=seed),
        },
    }


def of_forests(n_trees: int, make: Callable[..., Any], *, first: int = 0, **more: Any) -> Make:
    return lambda seed: make(n_trees, n_jobs=2, random_state=first + seed, **more)


def compared(name: str, makers: dict[str, Make]) -> Row:
    x, y = DATA[name]()
    scores, n_test = [], 0
    for seed in range(SEEDS):
        parts = train_test_split(x, y, test_size=TEST_SHARE, random_state=seed, stratify=y)
        train_x, test_x, train_y, test_y = parts
        fitted = [make(seed).fit(train_x, train_y) for make in makers.values()]
        scores.append([model.score(test_x, test_y) for model in fitted])
        n_test += len(test_y)
    means = np.mean(scores, axis=0).tolist()
    shape = f"{x.shape[0]} x {x.shape[1]}"
    return Row(name, shape, dict(zip(makers, means, strict=True)), n_test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100, help="trees in each forest (100)")
    parser.add_argument("--only", choices=["forest", "tree"], help="one of the two")
    options = parser.parse_args()
    for title, makers in models(options.trees).items():
        if options.only not in (None, title):
            continue
        shares = [f"{name} %" for name in makers]
        differences = [f"{name}: difference" for name in list(makers)[:-1]]
        titles = [f"{title}: data", "shape", *shares, *differences]
        print(f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|")  # noqa: T201
        for name in DATA:
            print(f"| {' | '.join(compared(name, makers).cells())} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
