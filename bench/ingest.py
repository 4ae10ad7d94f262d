"""Ingestion beside dlt and the raw store, in one run, on SQLite and PostgreSQL.

A CSV of 1,000,000 rows x 10 columns, and 100,000 JSON records over local HTTP, 1,000 a page, with
an API key. Ours is the full pipeline: raw payloads kept, validated, checkpointed, indexed, once.
Words are indexed after the run, by a job of their own, whose time stands beside it. Each load runs
in a process of its own, which prints its rows a second and its peak of memory.

    python bench/ingest.py                          # ours and the limit of the store
    python bench/ingest.py --dlt                    # dlt too, in a virtual environment made for it
    python bench/ingest.py --rows 5000000 --only csv
"""
# ruff: noqa: PLC0415 - each child imports only what it measures, as its memory is measured too

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ingest_input import API_KEY, PAGE, RECORDS, api, postgresql, write_csv
from ingest_peers import DLT_SCRIPT, dlt_python, limit, with_host

# Ours: one process for each load -----------------------------------------------------------------


async def ours(what: str, home: Path, database: str, url: str) -> dict[str, float]:
    from astralytiq import home as houses
    from astralytiq import migrations, wiring
    from astralytiq.core import executor, memory
    from astralytiq.core.http import direct_transport
    from astralytiq.core.resources import opened
    from astralytiq.core.security import SYSTEM
    from astralytiq.core.settings import Settings
    from astralytiq.features.ingestion import service, starting
    from astralytiq.features.ingestion.schemas import source_spec

    wiring.load_tables()
    wiring.load_jobs()
    # The client for HTTP, whole, as what dlt needs of its own is imported before the clock, too.
    direct_transport()
    import_module("anyio._backends._asyncio")
    settings = Settings(
        _env_file=None, astralytiq_home=home, database_url=database,
        allow_private_sources=("127.0.0.1",), source_roots=(str(home),),
    )  # fmt: skip
    houses.prepare(settings)
    wanted: dict[str, Any] = {"kind": "csv", "name": f"bench_{what}", "path": "rows.csv"}
    if what == "json":
        auth = {"type": "header", "name": "X-Bench-Key", "secret": "env:BENCH_KEY"}
        paging = {"style": "offset", "size_param": "limit", "size": PAGE}
        wanted = {"kind": "api", "name": f"bench_{what}", "url": url, "records_path": "records"}
        wanted |= {"auth": auth, "pagination": paging}
    spec = source_spec.validate_python(wanted | {"primary_key": "id"})
    async with opened(settings) as resources:
        await migrations.bring_up_to_date(resources.database, settings.database)
        await resources.database.write(partial(service.ensure_source, actor=SYSTEM, body=spec))
        run = await resources.database.write(
            lambda s: starting.start_run(s, SYSTEM, f"bench_{what}")
        )
        memory.settle(memory.OF_WORKERS)
        began = time.perf_counter()
        await executor.run_next(resources, "bench")
        loaded = time.perf_counter()
        await executor.run_until_idle(resources, "bench")
        indexing = time.perf_counter() - loaded
        async with resources.database.reading() as session:
            done = await service.get_run(session, run.run_id)
            stored = await service.count_records(session, f"bench_{what}")
    if done.status != "success" or stored != done.records_processed:
        raise SystemExit(f"The run ended as {done.status}: {done.error} ({stored} records)")
    return {"rows": stored, "seconds": loaded - began, "indexing": indexing}


# Running and printing -----------------------------------------------------------------------------


def child(arguments: Sequence[str], timeout: float) -> dict[str, float] | None:
    environment = {**os.environ, "BENCH_KEY": API_KEY}
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, env=environment, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{arguments[:3]} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


class Peak(threading.Thread):
    """Of this process and those it has started together, seen ten times a second.

    What getrusage says begins with the peak of whoever started it.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.look()

    def look(self) -> None:
        self.mb = max(self.mb, sum(map(resident_mb, [str(os.getpid()), *children()])))

    def end(self) -> float:
        self._ended.set()
        self.look()
        return self.mb


def children() -> list[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return [pid for one in lists for pid in one.read_text().split()]


def resident_mb(pid: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # It has just ended.
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024


def in_child(who: str, what: str, home: Path, database: str, url: str) -> None:
    peak = Peak()
    peak.start()
    if who == "ours":
        found = asyncio.run(ours(what, home, database, url))
    else:
        found = limit(what, home, database, url)
    found["mb"] = peak.end()
    print(json.dumps(found))  # noqa: T201 - a bench prints


def shown(name: str, found: dict[str, float] | None, base: float | None) -> float:
    if found is None:
        print(f"  {name:22} did not end in time")  # noqa: T201
        return 0.0
    speed = found["rows"] / found["seconds"]
    ratio = f"{speed / base:8.2f} of the limit" if base else ""
    words = f"   words after it: {found['indexing']:.1f} s" if found.get("indexing") else ""
    print(f"  {name:22}{speed:10,.0f} rows/s{found['mb']:8.0f} MB{ratio}{words}", flush=True)  # noqa: T201
    return speed


def measure(what: str, home: Path, database: str, url: str, options: argparse.Namespace) -> None:
    kind = "SQLite" if database.startswith("sqlite") else "PostgreSQL"
    print(f"{what} into {kind}")  # noqa: T201
    me = [sys.executable, __file__, "--child"]
    rest = [what, str(home), database, url]
    base = shown("limit", child([*me, "limit", *rest], options.timeout), None)
    for name in ("ours", "ours, the same again"):
        shown(name, child([*me, "ours", *rest], options.timeout), base)
    if options.dlt:
        python = str(dlt_python(Path(options.dlt_env)))
        target = f"sqlite:///{home}/dlt.db" if kind == "SQLite" else with_host(database)
        script = [python, "-c", DLT_SCRIPT, what, str(home), target, url, API_KEY]
        for name in ("dlt", "dlt, the same again"):
            shown(name, child(script, options.timeout), base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("csv", "json"))
    parser.add_argument("--on", choices=("sqlite", "postgresql"))
    parser.add_argument("--dlt", action="store_true", help="measure dlt too")
    parser.add_argument("--dlt-env", default=".bench-dlt", help="its virtual environment")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        who, what, home, database, url = options.child
        in_child(who, what, Path(home), database, url)
        return
    with tempfile.TemporaryDirectory() as folder, api(RECORDS) as url, postgresql() as server:
        for what in [options.only] if options.only else ["csv", "json"]:
            for kind in [options.on] if options.on else ["sqlite", "postgresql"]:
                home = Path(folder) / f"{what}-{kind}"
                home.mkdir()
                if what == "csv":
                    write_csv(home / "rows.csv", options.rows)
                database = server if kind == "postgresql" else f"sqlite:///{home}/astralytiq.db"
                measure(what, home, database, url, options)


if __name__ == "__main__":
    main()
