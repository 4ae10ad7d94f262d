"""One case of `ml_speed.py`, measured in a process of its own, which prints what it found as JSON.

Runs alternate between the sides, so that whatever else the machine does hits all of them alike. It
also runs in an environment of its own beside scikit-learn-intelex: ml_core needs only NumPy.
"""

import gc
import json
import pickle
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil
import sklearn
from numpy.typing import NDArray
from sklearn import cluster, datasets, ensemble
from sklearn.model_selection import train_test_split

from ml_core import KMeans, RandomForestClassifier, dumps, native

JOBS = 2
TEST_ROWS = 25_000
REAL = ("breast_cancer", "digits")

Case = Mapping[str, Any]
Found = dict[str, dict[str, float]]
Make = Callable[[int], Any]


# The sides ----------------------------------------------------------------------------------------


def tolerant(make: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves out parameters that a version has not, so that older ones can be measured, too."""
    names = set(make().get_params())
    return lambda **params: make(**{name: params[name] for name in params if name in names})


def forests(n_trees: int, sides: list[str]) -> dict[str, Make]:
    def made(make: Callable[..., Any], **more: Any) -> Make:
        return lambda seed: make(n_estimators=n_trees, n_jobs=JOBS, random_state=seed, **more)

    makers: dict[str, Callable[[], Make]] = {
        "ours": lambda: made(RandomForestClassifier),
        "exact": lambda: made(tolerant(RandomForestClassifier), max_bins=None),
        "scikit-learn": lambda: made(ensemble.RandomForestClassifier),
        "intelex": lambda: made(intelex("ensemble").RandomForestClassifier),
    }
    return {side: makers[side]() for side in sides}


def clusterings(n_clusters: int, sides: list[str], **more: Any) -> dict[str, Make]:
    def made(make: Callable[..., Any], **own: Any) -> Make:
        params = {"n_clusters": n_clusters, "n_init": 1, **more, **own}
        return lambda seed: make(random_state=seed, **params)

    makers: dict[str, Callable[[], Make]] = {
        "ours": lambda: made(tolerant(KMeans), n_jobs=JOBS),
        "scikit-learn": lambda: made(cluster.KMeans),
        "intelex": lambda: made(intelex("cluster").KMeans),
    }
    return {side: makers[side]() for side in sides}


def intelex(part: str) -> Any:
    return import_module(f"sklearnex.{part}")


def checked(side: str, model: Any) -> Any:
    """The model, unless it was quietly fitted by scikit-learn, as intelex does where it must."""
    if side == "intelex" and not hasattr(model, "_onedal_estimator"):
        raise SystemExit("scikit-learn-intelex has not used oneDAL")
    return model


# The data -----------------------------------------------------------------------------------------


def rows_of_classes(case: Case) -> list[NDArray[Any]]:
    """Rows and labels to train and to test: x, x, y, y."""
    if case["data"] in REAL:
        x, y = getattr(datasets, f"load_{case['data']}")(return_X_y=True)
        parts: list[NDArray[Any]] = train_test_split(x, y, random_state=0, stratify=y)
        return parts
    n_test = min(TEST_ROWS, case["rows"])
    x, y = datasets.make_classification(
        case["rows"] + n_test, 20, n_informative=10, n_redundant=5, n_classes=case["classes"],
        random_state=0,
    )  # fmt: skip
    return [x[n_test:], x[:n_test], y[n_test:], y[:n_test]]


def blobs(case: Case) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    centres = rng.uniform(-10, 10, size=(case["clusters"], 16))
    of_row = centres[rng.integers(case["clusters"], size=case["rows"])]
    rows: NDArray[Any] = of_row + case["deviation"] * rng.normal(size=of_row.shape)
    return rows.astype(case["dtype"])


# What is measured ---------------------------------------------------------------------------------


def seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def rounds(repeats: int) -> Iterator[int]:
    """So many seeds, and up to five times as many where they are over within three seconds."""
    seed, end = 0, time.perf_counter() + (3.0 if repeats > 1 else 0.0)
    while seed < repeats or (seed < 5 * repeats and time.perf_counter() < end):
        yield seed
        seed += 1


def in_turn(works: Mapping[str, Callable[[int], Any]], repeats: int) -> dict[str, float]:
    """The median of each side's seconds."""
    times: dict[str, list[float]] = {side: [] for side in works}
    for seed in rounds(repeats):
        for side, work in works.items():
            times[side].append(seconds(lambda: work(seed)))  # noqa: B023
    return {side: statistics.median(all_of) for side, all_of in times.items()}


def forest(case: Case, sides: list[str], repeats: int) -> Found:
    train_x, test_x, train_y, test_y = rows_of_classes(case)
    made, fitted = forests(case["trees"], sides), dict[str, Any]()
    hits: dict[str, list[float]] = {side: [] for side in sides}

    def fit(side: str, seed: int) -> None:
        fitted.pop(side, None)
        fitted[side] = checked(side, made[side](seed).fit(train_x, train_y))

    times: dict[str, list[float]] = {side: [] for side in sides}
    for seed in rounds(repeats):
        for side in sides:
            times[side].append(seconds(lambda: fit(side, seed)))  # noqa: B023
            hits[side].append(float(np.mean(fitted[side].predict(test_x) == test_y)))
    found = {"fit": {side: statistics.median(times[side]) for side in sides}}
    found["accuracy"] = {side: statistics.mean(hits[side]) for side in sides}
    found["test rows"] = {side: float(len(test_y)) for side in sides}
    predictions = {side: lambda _, m=fitted[side]: m.predict_proba(test_x) for side in sides}
    found["predict"] = in_turn(predictions, repeats)
    found["one row"] = {side: of_one_row(fitted[side], test_x) for side in sides}
    found["size"] = {side: float(size(fitted[side])) for side in sides}
    return found


def of_one_row(model: Any, rows: NDArray[Any]) -> float:
    """Median seconds of one validated answer; without threads, which would only cost here."""
    model.set_params(n_jobs=None)
    times = []
    for at in range(min(len(rows), 60)):
        row = rows[at : at + 1]
        begin = time.perf_counter()
        model.predict_proba(row)
        times.append(time.perf_counter() - begin)
    model.set_params(n_jobs=JOBS)
    return statistics.median(times)


def size(model: Any) -> int:
    """Bytes to keep the model; scikit-learn offers no form but pickle."""
    return len(dumps(model) if isinstance(model, RandomForestClassifier) else pickle.dumps(model))


def kmeans(case: Case, sides: list[str], repeats: int) -> Found:
    x, k = blobs(case), case["clusters"]
    made, inertias = clusterings(k, sides), {side: list[float]() for side in sides}

    def fit(side: str) -> Make:
        return lambda seed: inertias[side].append(float(made[side](seed).fit(x).inertia_))

    found = {"fit": in_turn({side: fit(side) for side in sides}, repeats)}
    found["inertia"] = {side: statistics.median(inertias[side]) for side in sides}
    # From the same centres all sides do the same iterations.
    init = x[np.random.default_rng(1).choice(len(x), k, replace=False)]
    begun = clusterings(k, sides, init=init)
    again = {side: lambda seed, make=begun[side]: make(seed).fit(x) for side in sides}
    found["same centres"] = in_turn(again, repeats)
    fitted = {side: checked(side, begun[side](0).fit(x)) for side in sides}
    predictions = {side: lambda _, m=fitted[side]: m.predict(x) for side in sides}
    found["predict"] = in_turn(predictions, repeats)
    labels = fitted["ours"].labels_
    found["labels"] = {s: float(np.mean(fitted[s].labels_ == labels)) for s in sides}
    return found


def memory(case: Case, sides: list[str], _: int) -> Found:
    """What the process holds at most during a fit beyond what it held before."""
    (side,) = sides
    x, y = rows_of_classes(case)[::2]
    model = forests(case["trees"], sides)[side](0)
    peak = Peak()
    peak.start()
    took = seconds(lambda: model.fit(x, y))
    return {"memory": {side: peak.end()}, "fit": {side: took}, "size": {side: float(size(model))}}


class Peak(threading.Thread):
    """The most bytes that this process held at once, seen a hundred times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process, self._ended = psutil.Process(), threading.Event()
        gc.collect()
        self._before = self._most = int(self._process.memory_info().rss)

    def run(self) -> None:
        while not self._ended.wait(0.01):
            self._most = max(self._most, int(self._process.memory_info().rss))

    def end(self) -> float:
        self._ended.set()
        self.join()
        return float(max(self._most, int(self._process.memory_info().rss)) - self._before)


KINDS = {"forest": forest, "kmeans": kmeans, "memory": memory}


def main() -> None:
    order = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    case = order["case"]
    found = KINDS[case["kind"]](case, order["sides"], order["repeats"])
    versions = {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
    if "intelex" in order["sides"]:
        versions["intelex"] = version("scikit-learn-intelex")
    print(json.dumps({"found": found, "versions": versions, "build": native.build_in_use()}))  # noqa: T201


if __name__ == "__main__":
    main()
