"""What ``python -m ml_core.decision_tree`` and ``… random_forest`` do: train on a CSV and score."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.arguments import Parser, answer, as_json
from ml_core.plotting import check_plot, plot_importances, write_plot
from ml_core.table import Table, left_out_line, read_table
from ml_core.tree_classifier import MaxFeatures, TreeClassifier

# By the name of a part of the rows its accuracy and how many they are.
Scores = dict[str, tuple[float, int]]


@dataclass(frozen=True, slots=True)
class Command:
    module: str
    title: str
    make: Callable[..., TreeClassifier]
    has_n_estimators: bool = False


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, or 2 with one line on stderr."""
    return answer(
        command.module,
        lambda: _train_and_score(command, vars(_parser(command).parse_args(argv))),
    )


def _parser(command: Command) -> Parser:
    data = "--data data.csv --target class"
    parser = Parser(
        command.module,
        f"{command.title}: train on a part of a CSV file and score on both parts.",
        (data, f"{data} --max-depth 5 --test-size 0.3 --plot importances.png"),
    )
    add = parser.add_argument
    add("--target", required=True, metavar="COLUMN", help="column of the classes, text or numbers")
    if command.has_n_estimators:
        add("--n-estimators", type=int, default=100, metavar="N", help="trees (100)")
    add("--criterion", default="gini", help="gini (the default) or entropy")
    add("--max-depth", type=int, metavar="N", help="splits from root to leaf at most (no limit)")
    add("--min-samples-split", type=int, default=2, metavar="N", help="rows to split a node (2)")
    add("--min-samples-leaf", type=int, default=1, metavar="N", help="rows in each leaf (1)")
    standard = "sqrt" if command.has_n_estimators else "all"
    drawn = f"features drawn per node: sqrt, log2, all, a number or a share ({standard})"
    add("--max-features", type=_max_features, default=standard, metavar="M", help=drawn)
    add("--test-size", type=float, default=0.2, metavar="SHARE", help="held back to test (0.2)")
    add("--random-state", type=int, default=42, metavar="SEED", help="seed of all chance (42)")
    add("--plot", metavar="FILE", help="draw the importances to this .png, .svg or .pdf [plot]")
    add("--json", action="store_true", help="report in JSON, for programs")
    return parser


def _max_features(text: str) -> MaxFeatures:
    if text in ("all", "none"):
        return None
    if text in ("sqrt", "log2"):
        return text
    return float(text) if "." in text else int(text)


# argparse names a converter in its message: "invalid number of features value: 'x'".
_max_features.__name__ = "number of features"


def _train_and_score(command: Command, options: dict[str, Any]) -> str:
    path, target = options.pop("data"), options.pop("target")
    test_size, plot, for_programs = (options.pop(name) for name in ("test_size", "plot", "json"))
    if plot is not None:
        check_plot(plot)
    model = command.make(**options)
    model.check_params()
    table = read_table(path, target)
    features, labels = np.array(list(table.features.values())).T, np.array(table.labels)
    train, test = _train_and_test_rows(len(labels), test_size, options["random_state"])
    model.fit(features[train], labels[train])
    scores = {
        name: (model.score(features[rows], labels[rows]), rows.size)
        for name, rows in (("train", train), ("test", test))
    }
    if plot is not None:
        title = f"{command.title} on {Path(path).name}: importance of features"
        names = list(table.features)
        write_plot(plot_importances(model.feature_importances_, names=names, title=title), plot)
    written = [] if plot is None else [plot]
    if for_programs:
        about = {"data": path, "rows": len(labels), "left_out": table.left_out, "written": written}
        return as_json({**about, **_facts(model, table, labels, scores)})
    summary = (
        f"{command.title} on {path}: {len(features)} rows, {features.shape[1]} features, "
        f"{np.unique(labels).size} classes"
    )
    lines = [summary, *left_out_line(table.left_out), *_described(scores)]
    return "".join(f"{line}\n" for line in [*lines, *(f"Written: {file}" for file in written)])


def _described(scores: Scores) -> list[str]:
    return [
        f"{name.capitalize()} accuracy: {accuracy:.4f} ({n_rows} rows)"
        for name, (accuracy, n_rows) in scores.items()
    ]


def _facts(
    model: TreeClassifier, table: Table, labels: NDArray[Any], scores: Scores
) -> dict[str, Any]:
    importances = model.feature_importances_.tolist()
    return {
        "classes": np.unique(labels).tolist(),
        "importances": dict(zip(table.features, importances, strict=True)),
        **{
            name: {"accuracy": accuracy, "rows": n_rows}
            for name, (accuracy, n_rows) in scores.items()
        },
    }


def _train_and_test_rows(
    n_rows: int, test_size: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if not 0.0 < test_size < 1.0:
        raise ValueError(f"--test-size must lie between 0 and 1, got {test_size}")
    if n_rows < 2:
        raise ValueError("at least 2 rows are needed, one to train on and one to test with")
    n_test = min(n_rows - 1, math.ceil(n_rows * test_size))
    # A fixed key beside the seed: the model is drawn from the seed itself, and the same random
    # numbers must not decide both which rows it sees and what it does with them.
    order = np.random.default_rng([seed, 1]).permutation(n_rows)
    return order[n_test:], order[:n_test]
