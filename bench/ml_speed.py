"""Forests and K-Means of ml_core beside scikit-learn's: times, sizes and accuracy, as ratios.

Each case runs in a process of its own, on two processors, with the sides in turn; times are medians
over seeds. Beside a goal stands whether it is reached. With --intelex the same is measured beside
scikit-learn-intelex (oneDAL), in an environment that is made for it and may hold another
scikit-learn.

    python bench/ml_speed.py                    # all cases: about half an hour
    python bench/ml_speed.py --only digits
    python bench/ml_speed.py --quick            # small sizes: does it run? its figures mean nothing
    python bench/ml_speed.py --intelex --markdown
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SOURCES = HERE.parent / "src"
INTELEX = ("scikit-learn-intelex", "psutil")
TITLES = ("case", "measure", "beside", "theirs", "ours", "ratio", "goal", "")
MB, POINT = 1e6, 100.0


class Goal(NamedTuple):
    """At least so many times as good as scikit-learn, or at most so much in itself."""

    said: str
    least_ratio: float | None = None
    most: float = math.inf

    def is_reached(self, ratio: float | None, own: float) -> bool:
        return (self.least_ratio or 0.0) <= (ratio or 0.0) and own <= self.most


def times(least: float) -> Goal:
    return Goal(f"≥ {least:g}x", least_ratio=least)


class Case(NamedTuple):
    """``goals`` by measure; that of "exact" is the fit with ``max_bins=None``."""

    name: str
    shape: dict[str, Any]
    goals: dict[str, Goal]
    reference: bool = False


class Line(NamedTuple):
    case: str
    measure: str
    beside: str
    theirs: str
    ours: str
    ratio: float | None
    goal: str
    reached: bool | None

    def cells(self) -> list[str]:
        verdict = {None: "", True: "reached", False: "missed"}[self.reached]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        return [*self[:5], ratio, self.goal, verdict]


def forest(name: str, trees: int, rows: int = 0, classes: int = 0) -> dict[str, Any]:
    data = name if rows == 0 else "made"
    return {"kind": "forest", "data": data, "rows": rows, "classes": classes, "trees": trees}


def blobs(rows: int, clusters: int, deviation: float, dtype: str = "float64") -> dict[str, Any]:
    shape = {"rows": rows, "clusters": clusters, "deviation": deviation, "dtype": dtype}
    return {"kind": "kmeans", **shape}


ANSWERS = {"predict": times(1.2), "one row": Goal("≤ 100 µs", most=100e-6), "size": times(5)}
CASES = [
    Case("forest, breast cancer, 100 trees", forest("breast_cancer", 100), ANSWERS, True),
    Case("forest, digits, 100 trees", forest("digits", 100), {**ANSWERS, "fit": times(7)}, True),
    Case(
        "forest, 100,000 x 20, 2 classes, 100 trees",
        forest("two", 100, 100_000, 2),
        {**ANSWERS, "fit": times(12), "exact": times(3)},
    ),
    Case(
        "forest, 100,000 x 20, 7 classes, 100 trees",
        forest("seven", 100, 100_000, 7),
        {**ANSWERS, "fit": times(7), "exact": times(3)},
    ),
    Case(
        "forest, 1,000,000 x 20, 2 classes, 8 trees",
        forest("million", 8, 1_000_000, 2),
        {**ANSWERS, "fit": times(15), "exact": times(3)},
    ),
    Case(
        "memory, 1,000,000 x 20, 100 trees",
        {**forest("million", 100, 1_000_000, 2), "kind": "memory"},
        {"memory": Goal("≤ 350 MB", most=350 * MB)},
    ),
    Case("k-means, 1,000,000 x 16, k=8", blobs(10**6, 8, 1.0), {"fit": times(3)}),
    Case("k-means, 1,000,000 x 16, k=64", blobs(10**6, 64, 1.0), {"fit": times(1.5)}),
    Case(
        "k-means, 1,000,000 x 16, k=64, float32",
        blobs(10**6, 64, 1.0, "float32"),
        {"fit": times(3)},
    ),
    Case(
        "k-means, 200,000 x 16, k=64, overlapping",
        blobs(200_000, 64, 5.0),
        {"fit": times(0.9)},
        True,
    ),
]


# Running ------------------------------------------------------------------------------------------


def measured(
    case: Case, sides: Sequence[str], options: argparse.Namespace, **more: str
) -> dict[str, Any]:
    """What `ml_measure.py` finds, with two processors and no more."""
    python = more.pop("python", sys.executable)
    shape = dict(case.shape)
    if options.quick:
        shape["rows"] = min(shape.get("rows", 0), 2_000)
        shape["trees"] = min(shape.get("trees", 0), 4)
    order = {"case": shape, "sides": sides, "repeats": options.repeats}
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), **more}
    # Threads of OpenMP spin while they wait: on a busy machine two cost a small case most.
    threads = "1" if options.quick else "2"
    environment |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [python, str(HERE / "ml_measure.py"), json.dumps(order)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{case.name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def intelex_python(folder: Path) -> str:
    """Its own environment: its packages are none of ours."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *INTELEX], check=True)
    return str(python)


def runs(case: Case, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whom ours is beside, and what was found."""
    kind, peers = case.shape["kind"], ["scikit-learn"]
    own = ["ours", "exact"] if kind == "forest" else ["ours"]
    if kind == "memory":
        # Each in a process of its own; scikit-learn would take half an hour for so many trees.
        yield "", measured(case, ["ours"], options)
        if options.intelex:
            python = intelex_python(Path(options.intelex_env))
            yield "intelex alone", measured(case, ["intelex"], options, python=python)
        return
    yield "scikit-learn", measured(case, [*own, *peers], options)
    if options.intelex:
        python = intelex_python(Path(options.intelex_env))
        yield "intelex", measured(case, ["ours", "intelex"], options, python=python)
    if case.reference:
        told = {"ML_CORE_KERNELS": "reference"}
        yield "reference", measured(case, ["ours", "scikit-learn"], options, **told)


# Saying -------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    for unit, per_second in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * per_second >= 1 or unit == "µs":
            return f"{seconds * per_second:.3g} {unit}"
    raise AssertionError


SHOWN: dict[str, Callable[[float], str]] = {
    "fit": duration,
    "same centres": duration,
    "predict": duration,
    "one row": duration,
    "size": lambda n: f"{n / 1e3:,.0f} kB" if n < MB else f"{n / MB:,.1f} MB",
    "memory": lambda n: f"{n / MB:,.0f} MB",
}


def lines_of(case: Case, peer: str, found: dict[str, dict[str, float]]) -> Iterator[Line]:
    if peer == "":
        yield compared(case, "memory", "memory", "", found["memory"]["ours"], None)
        return
    if peer == "intelex alone":
        held = SHOWN["memory"](found["memory"]["intelex"])
        yield Line(case.name, "memory", "intelex", held, "", None, "", None)
        return
    if peer == "reference":
        # Without compiled kernels: beside the first line it shows what they give.
        own, theirs = pair(found["fit"], "scikit-learn")
        yield compared(case, "", "fit, reference", "scikit-learn", own, theirs)
        return
    for measure in [name for name in SHOWN if name in found]:
        yield compared(case, measure, measure, peer, *pair(found[measure], peer))
        if measure == "fit" and "exact" in found["fit"]:
            own, theirs = found["fit"]["exact"], found["fit"][peer]
            yield compared(case, "exact", "fit, max_bins=None", peer, own, theirs)
    yield from accuracies(case, peer, found)


def pair(values: dict[str, float], peer: str) -> tuple[float, float]:
    return values["ours"], values[peer]


def compared(
    case: Case, measure: str, name: str, peer: str, own: float, theirs: float | None
) -> Line:
    """``measure`` says what the goal is looked up by; goals are set against scikit-learn."""
    shown = SHOWN.get(measure, duration)
    ratio = None if theirs is None else theirs / own
    goal = case.goals.get(measure) if peer != "intelex" else None
    reached = None if goal is None else goal.is_reached(ratio, own)
    told = "" if theirs is None else shown(theirs)
    return Line(case.name, name, peer, told, shown(own), ratio, goal.said if goal else "", reached)


def accuracies(case: Case, peer: str, found: dict[str, dict[str, float]]) -> Iterator[Line]:
    if "inertia" in found:
        own, theirs = pair(found["inertia"], peer)
        alike = f"{POINT * found['labels'][peer]:.2f} % same labels"
        yield Line(case.name, "inertia", peer, f"{theirs:.4g}", f"{own:.4g}", None, alike, None)
    for side in ("ours", "exact"):
        if side in found.get("accuracy", {}):
            yield accuracy(case, side, peer, found)


def accuracy(case: Case, side: str, peer: str, found: dict[str, dict[str, float]]) -> Line:
    """Within 0.2 points or one standard error of a difference of two such shares."""
    own, theirs = found["accuracy"][side], found["accuracy"][peer]
    n_test = found["test rows"][side]
    error = math.sqrt((own * (1 - own) + theirs * (1 - theirs)) / n_test)
    within = max(0.002, error)
    texts = f"{POINT * theirs:.2f} %", f"{POINT * own:.2f} %"
    name = "accuracy" if side == "ours" else "accuracy, max_bins=None"
    goal = f"{POINT * (own - theirs):+.2f} of ±{POINT * within:.2f}"
    reached = abs(own - theirs) <= within if peer == "scikit-learn" else None
    return Line(case.name, name, peer, *texts, None, goal, reached)


def show(lines: Sequence[Line], options: argparse.Namespace) -> None:
    """A line of a table; as Markdown, or aligned for the eye."""
    widths = (44, 24, 13, 10, 10, 8, 20, 8)
    for line in lines:
        cells = line.cells()
        if options.markdown:
            print(f"| {' | '.join(cells)} |", flush=True)  # noqa: T201
        elif not options.json:
            row = "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            print(row.rstrip(), flush=True)  # noqa: T201


def said_of(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    return f"kernels: {run['build']}; {versions}"


def options_of(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run each")
    parser.add_argument("--only", metavar="NAME", help="the cases whose name has this in it")
    parser.add_argument("--repeats", type=int, metavar="N", help="runs of each side (3)")
    parser.add_argument("--intelex", action="store_true", help="beside scikit-learn-intelex, too")
    parser.add_argument("--intelex-env", default=".bench-intelex", help="its environment")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    options = parser.parse_args(argv)
    options.repeats = options.repeats or (1 if options.quick else 3)
    return options


def main(argv: Sequence[str] | None = None) -> None:
    options = options_of(argv)
    chosen = [case for case in CASES if options.only is None or options.only in case.name]
    if not chosen:
        raise SystemExit(f"No case is named like {options.only!r}")
    if options.markdown:
        print(f"| {' | '.join(TITLES)} |\n{'|---' * len(TITLES)}|")  # noqa: T201
    all_lines: list[Line] = []
    told: dict[str, None] = {}
    for case in chosen:
        for peer, run in runs(case, options):
            lines = list(lines_of(case, peer, run["found"]))
            show(lines, options)
            all_lines += lines
            told[said_of(run)] = None
    if options.json:
        print(json.dumps({"runs": list(told), "lines": [line._asdict() for line in all_lines]}))  # noqa: T201
        return
    goals = [line.reached for line in all_lines if line.reached is not None]
    reached = "small sizes" if options.quick else f"{sum(goals)} of {len(goals)} goals reached"
    print(f"\n{reached}; {'; '.join(told)}.")  # noqa: T201


if __name__ == "__main__":
    main()
