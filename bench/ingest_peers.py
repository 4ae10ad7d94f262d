"""What `ingest.py` is measured beside: the bare store, and dlt in an environment of its own."""
# ruff: noqa: PLC0415 - each child imports only what it measures, as its memory is measured too

import asyncio
import csv
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from ingest_input import HEADER, RECORDS, rows

DLT = "dlt[postgres,sqlalchemy]==1.31.0"


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


# dlt ----------------------------------------------------------------------------------------------

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
