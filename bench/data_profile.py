"""Profile and quality of 5,000,000 rows x 20 columns: time, peak memory, and the bare read beside.

Each is run in a process of its own, in turns, and the medians are shown; on a busy machine
CPU seconds and ratios tell more than seconds. Goal: profile and quality together under 30 s on 2
cores. `--peer PYTHON`, an interpreter that has Polars, adds its `describe`, and what comes nearest
to a profile: `n_unique`, `value_counts` and repeated rows, too.
"""
# ruff: noqa: PLC0415 - each process imports what it measures and nothing else

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

GOAL_SECONDS = 30.0
GROUP = 1 << 16
COLUMNS = {
    "id": "int64", "user": "int64", "code": "int64", "amount": "float64", "ratio": "float64",
    "score": "float64", "latitude": "float64", "longitude": "float64", "active": "bool",
    "deleted": "bool", "day": "date", "created_at": "timestamp", "updated_at": "timestamp",
    "country": "string", "status": "string", "city": "string", "email": "string",
    "key": "string", "comment": "string", "zip": "string",
}  # fmt: skip


# The table --------------------------------------------------------------------------------------


def make(path: Path, rows: int) -> None:
    from astralytiq.engines.tabular.columns import Column
    from astralytiq.engines.tabular.parquet import ParquetWriter

    columns = [Column(name, type_) for name, type_ in COLUMNS.items()]
    with path.open("wb") as file, ParquetWriter(file, columns) as writer:
        for start in range(0, rows, GROUP):
            writer.add(some_rows(start, min(GROUP, rows - start), rows))


def some_rows(start: int, size: int, total: int) -> Any:
    """Three of 100 amounts and cities are null; one status in five is spelt in another way."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(start)
    numbers = np.arange(start, start + size)
    created = 1_700_000_000_000_000 + numbers * 1_000_000
    keys = np.char.mod("%016x", rng.integers(0, 2**62, size))
    statuses = np.array(["open", "closed", "pending", "failed", "Open"])
    values: list[Any] = [
        numbers, rng.integers(0, total // 10 + 1, size), rng.integers(0, 500, size),
        np.round(rng.lognormal(3, 1, size), 2), rng.random(size), rng.normal(size=size),
        rng.uniform(-90, 90, size), rng.uniform(-180, 180, size), rng.random(size) < 0.3,
        rng.random(size) < 0.01, (19_000 + numbers // 90_000).astype("datetime64[D]"),
        created, created + rng.integers(0, 10**9, size),
        np.array(["DE", "FR", "US", "IT"])[rng.integers(0, 4, size)],
        statuses[rng.integers(0, 5, size)],
        np.char.add("city ", rng.integers(0, 20_000, size).astype(str)),
        np.char.mod("user%d@example.com", rng.integers(0, total // 10 + 1, size)),
        keys, np.char.add("a comment about ", keys),
        np.char.mod("%05d", rng.integers(0, 100_000, size)),
    ]  # fmt: skip
    missing = rng.random(size) < 0.03
    arrays = {}
    for (name, type_), cells in zip(COLUMNS.items(), values, strict=True):
        array: Any = pa.array(cells, mask=missing if name in ("amount", "city") else None)
        zoned = type_ == "timestamp"
        arrays[name] = array.cast(pa.timestamp("us", tz="UTC")) if zoned else array
    return pa.table(arrays)


# What is measured, each in a process of its own -------------------------------------------------


def bare_read(path: Path) -> str:
    """Decodes every column once in one thread, and keeps nothing."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for name in COLUMNS:
            for batch in file.iter_batches(GROUP, columns=[name]):
                del batch
    return ""


def profile_only(path: Path) -> str:
    from astralytiq.engines.tabular.profile import profile

    found = profile(path)
    return f"{len(found.columns)} columns, {found.repeated_rows} repeated rows"


def profile_and_quality(path: Path) -> str:
    from astralytiq.engines.tabular.profile import profile
    from astralytiq.engines.tabular.quality import Rule, quality

    rules = [
        Rule("unique", "id"),
        Rule("range", "amount", low=0, high=1000),
        Rule("regex", "email", pattern=r"user\d+@example\.com"),
        Rule("in", "country", values=("DE", "FR", "US")),
    ]
    found = quality(path, profile(path), rules, as_of=datetime(2024, 2, 1, tzinfo=UTC))
    return f"score {found.score}"


def polars_describe(path: Path) -> str:
    import polars as pl  # type: ignore[import-not-found]

    return f"{pl.scan_parquet(path).describe().width - 1} columns"


def polars_all(path: Path) -> str:
    """A column at a time, as ours, but for the repeated rows."""
    import polars as pl

    table = pl.scan_parquet(path)
    for name in COLUMNS:
        column = table.select(name)
        column.describe()
        column.select(pl.col(name).n_unique()).collect(engine="streaming")
        counts = column.group_by(name).len().top_k(50, by="len")
        counts.collect(engine="streaming")
    repeated = table.select(pl.struct(pl.all()).hash().is_duplicated().sum()).collect()
    return f"{repeated.item()} repeated rows"


OURS = (bare_read, profile_only, profile_and_quality)
PEERS = (polars_describe, polars_all)
CASES: dict[str, Callable[[Path], str]] = {case.__name__: case for case in (*OURS, *PEERS)}


def child(case: str, path: Path) -> None:
    begin = time.perf_counter()
    said = CASES[case](path)
    seconds, cpu = time.perf_counter() - begin, time.process_time()
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds}|{cpu}|{int(peak) / 1024}|{said}")  # noqa: T201


class Run(NamedTuple):
    seconds: float
    cpu: float
    peak: float
    said: str


def measured(case: str, python: str, path: Path) -> Run:
    command = [python, __file__, "--child", case, "--file", str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, cpu, peak, said = answer.strip().split("|")
    return Run(float(seconds), float(cpu), float(peak), said)


def compare(path: Path, peer: str | None, repeats: int) -> None:
    pythons = dict.fromkeys((case.__name__ for case in OURS), sys.executable)
    if peer:
        pythons |= dict.fromkeys((case.__name__ for case in PEERS), peer)
    found: dict[str, list[Run]] = {case: [] for case in pythons}
    for _ in range(repeats):
        for case, python in pythons.items():
            found[case].append(measured(case, python, path))
    times = {case: median(run.seconds for run in runs) for case, runs in found.items()}
    print("| what | seconds | CPU seconds | times the bare read | peak MB | |")  # noqa: T201
    print("|---|---|---|---|---|---|")  # noqa: T201
    for case, runs in found.items():
        ratio, cpu = times[case] / times["bare_read"], median(run.cpu for run in runs)
        peak = median(run.peak for run in runs)
        cells = [case.replace("_", " "), *(f"{one:.1f}" for one in (times[case], cpu, ratio))]
        cells.append(f"{peak:.0f}")
        print(f"| {' | '.join(cells)} | {runs[-1].said} |")  # noqa: T201
    met = times["profile_and_quality"] < GOAL_SECONDS
    print(f"Goal {GOAL_SECONDS:.0f} s: {'met' if met else 'missed'}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", help="an interpreter that has Polars")
    parser.add_argument("--file", type=Path, help="the table, made if it is not there")
    parser.add_argument("--child", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder, "table.parquet")
        if not path.exists():
            make(path, options.rows)
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB of Parquet")  # noqa: T201
        compare(path, options.peer, options.repeats)


if __name__ == "__main__":
    main()
