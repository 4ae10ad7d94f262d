"""K-Means of ml_core beside scikit-learn's in one run: ratios of times, medians of three.

"same centres" begins both at the same rows, so that they do the same iterations; "whole fit" has
the seeding in it, and other chance in each.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster

from ml_core import KMeans

REPEATS = 3


class Case(NamedTuple):
    name: str
    n_rows: int
    n_clusters: int
    deviation: float
    dtype: str = "float64"


CASES = [
    Case("separated", 1_000_000, 8, 1.0),
    Case("separated", 1_000_000, 64, 1.0),
    Case("separated", 1_000_000, 64, 1.0, "float32"),
    Case("overlapping", 200_000, 64, 5.0),
]


def blobs(case: Case, n_rows: int, n_features: int = 16) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    centres = rng.uniform(-10, 10, size=(case.n_clusters, n_features))
    of_row = centres[rng.integers(case.n_clusters, size=n_rows)]
    rows: NDArray[Any] = of_row + case.deviation * rng.normal(size=of_row.shape)
    return rows.astype(case.dtype)


def seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ratio(theirs: Callable[[int], Any], ours: Callable[[int], Any]) -> tuple[float, float]:
    """The median of theirs in seconds, and over the median of ours."""
    pairs = [(seconds(lambda: theirs(s)), seconds(lambda: ours(s))) for s in range(REPEATS)]  # noqa: B023
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return medians[0], medians[0] / medians[1]


def measured(case: Case, n_rows: int) -> str:
    x, k = blobs(case, n_rows), case.n_clusters
    init = x[np.random.default_rng(1).choice(n_rows, k, replace=False)]
    their_fit, whole = ratio(
        lambda seed: cluster.KMeans(k, random_state=seed).fit(x),
        lambda seed: KMeans(k, random_state=seed).fit(x),
    )
    _, same = ratio(
        lambda _: cluster.KMeans(k, init=init, n_init=1).fit(x),
        lambda _: KMeans(k, init=init).fit(x),
    )
    fitted, model = cluster.KMeans(k, init=init, n_init=1).fit(x), KMeans(k, init=init).fit(x)
    _, predict = ratio(lambda _: fitted.predict(x), lambda _: model.predict(x))
    equal = np.mean(fitted.labels_ == model.labels_)
    cells = [case.name, f"{n_rows:,} x 16", str(k), case.dtype, f"{their_fit:.2f} s"]
    cells += [f"{whole:.2f}", f"{same:.2f}", f"{predict:.2f}", f"{100 * equal:.2f} %"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of each case (1)")
    share = parser.parse_args().share
    titles = ["data", "shape", "k", "type", "their fit", "whole fit", "same centres", "predict"]
    print(f"| {' | '.join(titles)} | same labels |")  # noqa: T201
    print("|" + "---|" * (len(titles) + 1))  # noqa: T201
    for case in CASES:
        print(measured(case, int(case.n_rows * share)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
