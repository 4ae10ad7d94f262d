"""Each algorithm, trained through the API, beside the estimator that people know it by.

With `--write` the lines go into the table of docs/models.md (with `--only` those of some
algorithms), with `--parameters` what the catalogue says of each, without training anything.

An application is started on a temporary home; each table is uploaded as CSV, each training asked
for at POST /ml/train and run as a job, for as many splits as there are seeds. The other estimator
gets the same rows and the same parameters. That the rows held out are the same is checked: the
version's own predictions of them must give the accuracy that the registry keeps.
"""

import argparse
import csv
import io
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from pydantic import SecretStr
from sklearn import cluster, datasets, ensemble, linear_model, pipeline, preprocessing, tree
from sklearn.metrics import adjusted_rand_score

from astralytiq import local
from astralytiq.client import Client
from astralytiq.core.settings import Settings
from astralytiq.engines.models.catalogue import ALGORITHMS
from astralytiq.engines.models.contract import Parameter
from astralytiq.engines.models.splitting import split

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
CLASSES = ("iris", "wine", "breast_cancer", "digits")
NUMBERS = ("diabetes",)
SPLITS, TEST_SIZE, TARGET = 20, 0.25, "target"
ENOUGH = 0.01  # one percentage point
# Of one beginning alone the result is luck: ten are tried by both, and the best is kept.
BEGINNINGS = 10
# The nearest that scikit-learn has to XGBoost: shown beside it, but it is another algorithm.
NEAREST = "HistGradientBoostingClassifier"
Make = Callable[[int, int], Any]  # of a seed and the number of classes


def scaled(model: Any) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


# The estimators that ours are held against, with the parameters that our catalogue has as defaults.
PEERS: dict[str, dict[str, Make]] = {
    "random_forest": {
        "RandomForestClassifier": lambda seed, _: ensemble.RandomForestClassifier(random_state=seed)
    },
    "decision_tree": {
        "DecisionTreeClassifier": lambda seed, _: tree.DecisionTreeClassifier(random_state=seed)
    },
    "logistic_regression": {
        "LogisticRegression, scaled": lambda *_: scaled(
            linear_model.LogisticRegression(max_iter=1_000)
        )
    },
    "gradient_boosting": {
        "GradientBoostingClassifier": lambda seed, _: ensemble.GradientBoostingClassifier(
            random_state=seed
        )
    },
    "xgboost": {
        "XGBClassifier": lambda seed, _: xgboost.XGBClassifier(random_state=seed, n_jobs=1),
        NEAREST: lambda seed, _: ensemble.HistGradientBoostingClassifier(random_state=seed),
    },
    "kmeans": {"KMeans": lambda seed, k: cluster.KMeans(k, n_init=BEGINNINGS, random_state=seed)},
    "linear_regression": {"LinearRegression": lambda *_: linear_model.LinearRegression()},
    "ridge_regression": {"Ridge, scaled": lambda *_: scaled(linear_model.Ridge())},
    "gradient_boosting_regressor": {
        "GradientBoostingRegressor": lambda seed, _: ensemble.GradientBoostingRegressor(
            random_state=seed
        )
    },
    "xgboost_regressor": {
        "XGBRegressor": lambda seed, _: xgboost.XGBRegressor(random_state=seed, n_jobs=1)
    },
}


@dataclass(frozen=True)
class Table:
    name: str
    features: NDArray[np.float64]
    target: NDArray[Any]

    @property
    def columns(self) -> list[str]:
        return [f"x{number}" for number in range(self.features.shape[1])]

    @property
    def numbers(self) -> NDArray[Any]:
        """The target as every estimator takes it: XGBoost's own takes no texts."""
        if self.name in NUMBERS:
            return self.target
        return np.unique(self.target, return_inverse=True)[1]

    def as_csv(self) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([*self.columns, TARGET])
        for row, label in zip(self.features.tolist(), self.target.tolist(), strict=True):
            writer.writerow([*row, label])
        return text.getvalue().encode()


@dataclass(frozen=True)
class Compared:
    """The same measure of both, split by split; `unit` is by what a difference is divided."""

    algorithm: str
    peer: str
    table: Table
    measure: str
    ours: list[float]
    theirs: list[float]
    unit: float = 1.0

    @property
    def difference(self) -> float:
        return (float(np.mean(self.ours)) - float(np.mean(self.theirs))) / self.unit

    @property
    def error(self) -> float:
        """The standard error of the mean of the differences, each of the same rows."""
        apart = (np.array(self.ours) - np.array(self.theirs)) / self.unit
        return float(np.std(apart, ddof=1)) / math.sqrt(len(apart))

    @property
    def verdict(self) -> str:
        if self.peer == NEAREST:
            return "another algorithm"
        return "reached" if abs(self.difference) <= max(ENOUGH, self.error) else "missed"

    def line(self) -> str:
        rows, columns = self.table.features.shape
        cells = [
            self.algorithm,
            self.peer,
            f"{self.table.name}, {rows:,} x {columns}",
            self.measure,
            *(figure(float(np.mean(both))) for both in (self.ours, self.theirs)),
            f"{100 * self.difference:+.2f}",
            f"{100 * self.error:.2f}",
            self.verdict,
        ]
        return f"| {' | '.join(cells)} |"


def figure(value: float) -> str:
    if abs(value) <= 1:
        return f"{100 * value:.2f}"
    return f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"


def table_of(name: str) -> Table:
    found = getattr(datasets, f"load_{name}")()
    named = name != "digits" and name in CLASSES
    target = found.target_names[found.target] if named else found.target
    return Table(name, found.data.astype(np.float64), target)


# Ours, by the doors -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doors:
    client: Client
    splits: int

    def upload(self, table: Table) -> int:
        files = {"file": (f"{table.name}.csv", table.as_csv(), "text/csv")}
        return int(self.client.post("/datasets/upload", files=files)["id"])

    def trained(self, algorithm: str, table: Table, dataset: int) -> list[dict[str, Any]]:
        """A version for each seed, as the registry tells it."""
        name = f"{algorithm}-{table.name}"
        jobs = [
            self.client.post("/ml/train", json=asked(algorithm, table, dataset, name, seed))
            for seed in range(self.splits)
        ]
        results = [self.client.wait(job["job_id"], pause=0.05)["result"] for job in jobs]
        return [self.client.get(f"/models/{name}/versions/{one['version']}") for one in results]

    def predictions(self, version: dict[str, Any], rows: NDArray[np.float64]) -> list[Any]:
        path = f"/models/{version['model']}/versions/{version['version']}/predict"
        answer = self.client.post(path, json={"instances": rows.tolist()})
        found: list[Any] = answer["predictions"]
        return found


def asked(algorithm: str, table: Table, dataset: int, name: str, seed: int) -> dict[str, Any]:
    common = {"algorithm": algorithm, "dataset_id": dataset, "model_name": name, "seed": seed,
              "features": table.columns, "test_size": TEST_SIZE}  # fmt: skip
    if ALGORITHMS[algorithm].task == "clustering":
        return {
            **common,
            "params": {"n_clusters": len(np.unique(table.target)), "n_init": BEGINNINGS},
        }
    return {**common, "target": TARGET}


# Both ---------------------------------------------------------------------------------------------


def compared(doors: Doors, algorithm: str, table: Table, dataset: int) -> Iterator[Compared]:
    versions = doors.trained(algorithm, table, dataset)
    if ALGORITHMS[algorithm].task == "clustering":
        yield from clustered(doors, algorithm, table, versions)
        return
    measure = {"classification": "accuracy", "regression": "r2"}[ALGORITHMS[algorithm].task]
    splits = [
        split(version["task"], table.target, TEST_SIZE, version["seed"]) for version in versions
    ]
    for version, (_, tests) in zip(versions, splits, strict=True):
        refuse_other_rows(doors, version, table, tests, measure)
    ours = [version["metrics"][measure] for version in versions]
    for peer, make in PEERS[algorithm].items():
        theirs = [scored(make(seed, 0), table, *parts) for seed, parts in enumerate(splits)]
        yield Compared(algorithm, peer, table, measure, ours, theirs)


def scored(peer: Any, table: Table, rows: NDArray[np.intp], tests: NDArray[np.intp]) -> float:
    peer.fit(table.features[rows], table.numbers[rows])
    return float(peer.score(table.features[tests], table.numbers[tests]))


def refuse_other_rows(
    doors: Doors, version: dict[str, Any], table: Table, tests: NDArray[np.intp], measure: str
) -> None:
    found = np.array(doors.predictions(version, table.features[tests]))
    truth = table.target[tests]
    if measure == "accuracy":
        score = float(np.mean(found == truth))
    else:
        score = 1 - float(((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    if not math.isclose(score, version["metrics"][measure], rel_tol=1e-9):
        raise SystemExit(
            f"{version['model']}@{version['version']} tested other rows than these: its "
            f"{measure} there is {score}, the registry keeps {version['metrics'][measure]}."
        )


def clustered(
    doors: Doors, algorithm: str, table: Table, versions: list[dict[str, Any]]
) -> Iterator[Compared]:
    """All rows are trained on: what differs between the seeds is where the centres begin."""
    seeds = [version["seed"] for version in versions]
    n_clusters = len(np.unique(table.target))
    ((peer, make),) = PEERS[algorithm].items()
    peers = [make(seed, n_clusters).fit(table.features) for seed in seeds]
    ours = [version["metrics"]["inertia"] for version in versions]
    theirs = [float(one.inertia_) for one in peers]
    yield Compared(algorithm, peer, table, "inertia", ours, theirs, float(np.mean(theirs)))
    labels = [doors.predictions(version, table.features) for version in versions]
    yield Compared(
        algorithm,
        peer,
        table,
        "adjusted Rand",
        [float(adjusted_rand_score(table.target, found)) for found in labels],
        [float(adjusted_rand_score(table.target, one.labels_)) for one in peers],
    )


def tables_for(algorithm: str) -> tuple[str, ...]:
    return NUMBERS if ALGORITHMS[algorithm].task == "regression" else CLASSES


def opened(home: Path) -> AbstractContextManager[Client]:
    # A password of its own, so that none is made and shown.
    password = SecretStr(token_urlsafe(24))
    return local.opened(
        Settings(_env_file=None, astralytiq_home=home, log_level="ERROR", admin_password=password)
    )


def measured(algorithms: list[str], splits: int) -> Iterator[Compared]:
    with tempfile.TemporaryDirectory(prefix="models") as home, opened(Path(home)) as client:
        doors, uploaded = Doors(client, splits), {}
        for algorithm in algorithms:
            for table in map(table_of, tables_for(algorithm)):
                if table.name not in uploaded:
                    uploaded[table.name] = doors.upload(table)
                yield from compared(doors, algorithm, table, uploaded[table.name])


# The page -----------------------------------------------------------------------------------------

TITLES = ("algorithm", "beside", "data set", "measure", "AstralytiQ", "the other", "difference",
          "standard error", "goal")  # fmt: skip


def tabled(titles: tuple[str, ...], lines: list[str]) -> str:
    return "\n".join([f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *lines])


def parameters() -> str:
    """What the catalogue says, one section for each algorithm."""
    sections = []
    for algorithm in ALGORITHMS.values():
        extra = f" Extra `[{algorithm.extra}]`." if algorithm.extra else ""
        lines = [
            f"| `{one.name}` | `{json.dumps(one.default)}` | {allowed(one)} | {one.description} |"
            for one in algorithm.parameters
        ]
        table = tabled(("parameter", "default", "allowed", "what it is"), lines)
        words = f"{algorithm.description} Task: {algorithm.task}.{extra}"
        sections.append(f"### {algorithm.name}\n\n{words}\n\n{table}")
    return "\n\n".join(sections)


def allowed(parameter: Parameter) -> str:
    words = [f"`{choice}`" for choice in parameter.choices]
    words += [kind for kind in parameter.kinds if kind != "string"]
    low, high = parameter.minimum, parameter.maximum
    bounds = "" if low is None else f"; {plain(low)} to {plain(high or 0)}"
    return ", ".join(words) + bounds


def plain(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and value < 1e10 else f"{value:g}"


def parts_of(name: str) -> tuple[str, str, str]:
    """The page before the marks of that name, between and behind them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    between, after = rest.split(end)
    return before + begin, between, end + after


def put(name: str, content: str) -> None:
    before, _, after = parts_of(name)
    PAGE.write_text(f"{before}\n\n{content}\n\n{after}", encoding="utf-8")


def merged(lines: list[str]) -> list[str]:
    """With those of the algorithms that were not measured now, in the order of the list above."""
    measured_now = {algorithm_of(line) for line in lines}
    before = [line for line in parts_of("accuracy")[1].splitlines() if algorithm_of(line) in PEERS]
    kept = [line for line in before if algorithm_of(line) not in measured_now]
    order = list(PEERS)
    return sorted([*kept, *lines], key=lambda line: order.index(algorithm_of(line)))


def algorithm_of(line: str) -> str:
    return line.removeprefix("| ").partition(" |")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=SPLITS, help="seeds of each (20)")
    parser.add_argument("--only", choices=sorted(PEERS), action="append", help="some algorithms")
    parser.add_argument("--write", action="store_true", help="put the table into docs/models.md")
    parser.add_argument("--parameters", action="store_true", help="write the parameters alone")
    options = parser.parse_args()
    if options.parameters:
        put("parameters", parameters())
        return
    began, lines = time.perf_counter(), []
    for found in measured(options.only or list(PEERS), options.splits):
        lines.append(found.line())
        print(lines[-1], flush=True)  # noqa: T201
    if options.write:
        put("accuracy", tabled(TITLES, merged(lines)))
    print(f"{time.perf_counter() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
