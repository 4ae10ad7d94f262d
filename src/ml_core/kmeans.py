"""``python -m ml_core.kmeans``; the class `KMeans` of `kmeans_estimator` is found here too.

Nothing here loads NumPy before a file turns out to be large: loading it takes longer than
clustering some hundred rows.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_core.arguments import Parser, answer, as_json
from ml_core.kmeans_plain import PlainClustering, is_small, plain_kmeans
from ml_core.table import (
    Columns,
    Features,
    TableError,
    left_out_line,
    numeric_columns,
    read_columns,
    write_columns,
)

if TYPE_CHECKING:
    from ml_core.kmeans_estimator import KMeans

__all__ = ["KMeans", "main"]

MODULE = "ml_core.kmeans"
CLUSTER = "cluster"


def __getattr__(name: str) -> Any:
    if name != "KMeans":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ml_core.kmeans_estimator import KMeans  # noqa: PLC0415 - loads NumPy

    return KMeans


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, or 2 with one line on stderr."""
    return answer(MODULE, lambda: _cluster_and_report(vars(_parser().parse_args(argv))))


def _parser() -> Parser:
    parser = Parser(
        MODULE,
        "K-Means: cluster the rows of a CSV file by its numeric columns.",
        ("--data data.csv --clusters 3 --output results.csv", "--data data.csv --plot plot.png"),
    )
    add = parser.add_argument
    add("--clusters", type=int, default=3, metavar="N", help="clusters to form (3)")
    add("--max-iters", type=int, default=300, metavar="N", help="iterations at most (300)")
    add("--random-state", type=int, default=42, metavar="SEED", help="seed of all chance (42)")
    output = f"write the table with a column {CLUSTER!r} (replaced if it is there) to this file"
    add("--output", metavar="FILE", help=output)
    add("--plot", metavar="FILE", help="draw the clusters to this .png, .svg or .pdf [plot]")
    add("--json", action="store_true", help="report in JSON, for programs")
    return parser


def _cluster_and_report(options: dict[str, Any]) -> str:
    path, n_clusters = options["data"], options["clusters"]
    _check_options(options)
    columns = read_columns(path)
    n_rows = len(next(iter(columns.values())))
    candidates = {name: cells for name, cells in columns.items() if name != CLUSTER}
    features, left_out = numeric_columns(candidates)
    if not features:
        raise TableError(f"{path} has no numeric column to cluster by")
    if n_clusters > n_rows:
        raise ValueError(f"{path} has {n_rows} rows, too few for {n_clusters} clusters")
    found = _cluster(features, n_clusters, options["max_iters"], options["random_state"])
    written = _write_asked_for(options, columns, found, features)
    if options["json"]:
        about = {"data": path, "rows": n_rows, "left_out": left_out, "written": written}
        return as_json({**about, **_facts(found, features)})
    report = [
        f"K-Means on {path}: {n_rows} rows, {len(features)} features, {n_clusters} clusters",
        *left_out_line(left_out),
        *_described(found, features),
        *(f"Written: {file}" for file in written),
    ]
    return "".join(f"{line}\n" for line in report)


def _check_options(options: dict[str, Any]) -> None:
    for option, least in (("clusters", 1), ("max_iters", 1), ("random_state", 0)):
        if options[option] < least:
            flag = option.replace("_", "-")
            raise ValueError(f"--{flag} must be at least {least}, got {options[option]}")
    if options["plot"] is not None:
        from ml_core.plotting import check_plot  # noqa: PLC0415 - loads NumPy

        check_plot(options["plot"])


def _cluster(
    features: Features, n_clusters: int, max_iter: int, random_state: int
) -> PlainClustering:
    """The same clusters either way, bit for bit."""
    n_rows = len(next(iter(features.values())))
    if is_small(n_rows, len(features), n_clusters):
        rows = [list(row) for row in zip(*features.values(), strict=True)]
        return plain_kmeans(rows, n_clusters, max_iter, random_state)
    from ml_core.kmeans_estimator import clustering_of_columns  # noqa: PLC0415 - loads NumPy

    return PlainClustering(*clustering_of_columns(features, n_clusters, max_iter, random_state))


def _write_asked_for(
    options: dict[str, Any], columns: Columns, found: PlainClustering, features: Features
) -> list[str]:
    """The files that were written."""
    if options["output"] is not None:
        # A column of that name keeps its place, a new one comes last.
        labelled = {**columns, CLUSTER: [str(label) for label in found.labels]}
        write_columns(options["output"], labelled)
    if options["plot"] is not None:
        _draw(options["plot"], options["data"], found, features)
    return [options[name] for name in ("output", "plot") if options[name] is not None]


def _draw(plot: str, path: str, found: PlainClustering, features: Features) -> None:
    from ml_core.plotting import plot_clusters, write_plot  # noqa: PLC0415 - loads NumPy

    rows = list(zip(*features.values(), strict=True))
    title = f"K-Means on {os.path.basename(path)}: {len(found.centres)} clusters"
    figure = plot_clusters(rows, found.labels, found.centres, names=list(features), title=title)
    write_plot(figure, plot)


def _facts(found: PlainClustering, features: Features) -> dict[str, Any]:
    clusters = [
        {
            "cluster": label,
            "rows": found.labels.count(label),
            "centre": dict(zip(features, centre, strict=True)),
        }
        for label, centre in enumerate(found.centres)
    ]
    return {"inertia": found.inertia, "iterations": found.n_iter, "clusters": clusters}


def _described(found: PlainClustering, features: Features) -> list[str]:
    lines = [f"Inertia: {found.inertia:.6g} after {found.n_iter} iterations"]
    for label, centre in enumerate(found.centres):
        size = found.labels.count(label)
        place = ", ".join(f"{n}={v:.6g}" for n, v in zip(features, centre, strict=True))
        lines.append(f"Cluster {label}: {size} rows around {place}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
