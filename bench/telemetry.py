"""Telemetry of one server process, beside what the store alone takes, in one run.

Single events over HTTP at 64 connections and the same rows put into bare SQLite by group commit;
batches of 1,000 with ids in the order of time and with random ones, over HTTP and into the bare
store; `/statistics` and `/dashboard` with few and with many events stored. Everything is durable
before it is answered (synchronous=FULL).

    python bench/telemetry.py                              SQLite
    python bench/telemetry.py --database postgresql://…    an empty database that may be filled
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvloop
from loading import Asking, Load, ask, free_port, request, served

from astralytiq import migrations
from astralytiq.core.db import Database, utc_now
from astralytiq.core.settings import Settings
from astralytiq.features.telemetry import recording
from astralytiq.features.telemetry.intake import Limits, Row, new_ids, rows_of
from astralytiq.features.telemetry.recording import COLUMNS, Posted
from astralytiq.features.telemetry.schemas import Reading

CONNECTIONS = 64
SENDERS = 8  # of batches
BATCH = 1_000
PASSWORD = "a long password of the bench"  # pragma: allowlist secret
DEVICES = 50
DAYS = 30  # over which stored events are spread
GOALS = {
    "single events, a second": "2,500 or more",
    "single events, p99 ms": "below 60",
    "batches, ordered ids, events a second": "80,000 or more on SQLite (moonshot 150,000)",
    "/statistics, many, p95 ms in the server": "below 5, and within 2x of few",
    "/dashboard, many, p95 ms in the server": "below 5, and within 2x of few",
}
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16384", "wal_autocheckpoint=10000")


# What is sent -----------------------------------------------------------------------------------


def event(number: int, event_id: str) -> dict[str, Any]:
    return {
        "ear_value": 0.05 + number % 37 / 100,
        "is_drowsy": number % 9 == 0,
        "duration_ms": number * 7 % 4000,
        "timestamp": (datetime.now(UTC) - timedelta(milliseconds=number % 1000)).isoformat(),
        "device_id": f"bench-{number % DEVICES:02}",
        "event_id": event_id,
        "session_id": "bench",
    }


def batch(device: int, ids: list[str]) -> bytes:
    """Of one device, as they come: the events of some minutes."""
    events = [event(n, one) | {"device_id": f"bench-{device:02}"} for n, one in enumerate(ids)]
    return json.dumps({"events": events}).encode()


def ids_of(is_random: bool) -> list[str]:
    return [str(uuid4()) for _ in range(BATCH)] if is_random else list(new_ids(BATCH))


class Sending(Asking):
    """One connection that sends something new each time, until there is nothing more."""

    def __init__(self, messages: Iterator[bytes], done: Callable[[], None]) -> None:
        super().__init__(b"")
        self.messages = messages
        self.done = done

    def ask(self) -> None:
        message = next(self.messages, None)
        if message is None:
            self.done()
            return
        self.message = message
        super().ask()


async def sent(port: int, sources: list[Iterator[bytes]]) -> Load:
    """All of it, a connection for each source."""
    loop = asyncio.get_running_loop()
    left, over = len(sources), loop.create_future()

    def done() -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set_result(None)

    began = time.perf_counter()
    pairs = [
        await loop.create_connection(partial(Sending, source, done), "127.0.0.1", port)
        for source in sources
    ]
    await over
    took = time.perf_counter() - began
    for transport, one in pairs:
        transport.close()
        if one.failed:
            raise SystemExit(f"Not every answer was 200:\n{one.refusal.decode(errors='replace')}")
    seconds = [second for _, one in pairs for second in one.seconds]
    return Load(len(seconds) / took, seconds)


async def singles(port: int, header: str, number: int) -> Load:
    """Built beforehand: the client shares the machine's cores with the server."""
    ids = new_ids(number)
    post = partial(request, "POST", "/telemetry", port, header)
    messages = [post(body=json.dumps(event(n, one)).encode()) for n, one in enumerate(ids)]
    return await sent(port, [iter(messages[start::CONNECTIONS]) for start in range(CONNECTIONS)])


async def batches(port: int, header: str, number: int, *, is_random: bool) -> float:
    post = partial(request, "POST", "/telemetry/batch", port, header)
    messages = [post(body=batch(n % DEVICES, ids_of(is_random))) for n in range(number)]
    found = await sent(port, [iter(messages[start::SENDERS]) for start in range(SENDERS)])
    return found.a_second * BATCH


# The bare store -----------------------------------------------------------------------------------


def rows(ids: list[str]) -> list[Row]:
    made = [event(n, one) for n, one in enumerate(ids)]
    now = utc_now()
    readings = [Reading(**{**one, "timestamp": now}) for one in made]
    return rows_of(readings, Limits.at(now, Settings(_env_file=None)))


@contextmanager
def bare_store(folder: Path) -> Iterator[sqlite3.Connection]:
    """The table of events and its indexes alone: no devices, sums or requests."""
    path = folder / f"bare-{uuid4().hex}.db"
    store = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        store.execute(f"PRAGMA {pragma}")
    names = ", ".join(COLUMNS)
    store.execute(
        f"CREATE TABLE e (id INTEGER PRIMARY KEY AUTOINCREMENT, {names}, UNIQUE (device, event_id))"
    )
    store.execute("CREATE INDEX at ON e (at)")
    yield store
    store.close()


def put(store: sqlite3.Connection, group: list[Any]) -> None:
    row = f"({', '.join('?' * len(COLUMNS))})"
    store.execute("BEGIN IMMEDIATE")
    for start in range(0, len(group), 3000):
        part = group[start : start + 3000]
        sql = f"INSERT INTO e ({', '.join(COLUMNS)}) VALUES {', '.join([row] * len(part))}"
        store.execute(sql, list(chain.from_iterable(part)))
    store.execute("COMMIT")


def bare(folder: Path, groups: int, size: int, *, is_random: bool = False) -> float:
    """Rows a second in groups of `size`."""
    made = []
    for n in range(groups):
        ids = ids_of(is_random)[:size]
        made.append([(n % DEVICES, one[1], one[2], 0, *one[3:]) for one in rows(ids)])
    with bare_store(folder) as store:
        began = time.perf_counter()
        for group in made:
            put(store, group)
        return groups * size / (time.perf_counter() - began)


# What is read -------------------------------------------------------------------------------------


async def fill(url: str, number: int) -> None:
    """Events of the last days, as the server itself stores them."""
    database, settings, now = Database(url), Settings(_env_file=None), utc_now()
    step = timedelta(days=DAYS) / number
    for start in range(0, number, 10_000):
        some = range(start, min(start + 10_000, number))
        readings = [
            Reading(
                0.1 + n % 30 / 100, n % 9 == 0, n % 4000, now - step * n, f"bench-{n % DEVICES}"
            )
            for n in some
        ]
        await recording.stored(database, [Posted(rows_of(readings, Limits.at(now, settings)))])
    await database.close()


async def p95_in_the_server(port: int, header: str, path: str, times: int = 200) -> float:
    message, found = request("GET", path, port, header), []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        lower = {name.lower(): value for name, value in lines.items()}
        await reader.readexactly(int(lower["content-length"]))
        found.append(float(lower["x-process-time"]))
    writer.close()
    return statistics.quantiles(found, n=20)[-1]


async def reads(port: int, header: str, name: str) -> dict[str, float]:
    since = (datetime.now(UTC) - timedelta(days=DAYS / 2)).isoformat().replace("+00:00", "Z")
    ways = {
        "/statistics": "/statistics",
        "/statistics of half the time": f"/statistics?since={since}",
        "/statistics of a device": "/statistics?device=bench-7",
        "/dashboard": "/dashboard",
        "/events/recent": "/events/recent",
    }
    return {
        f"{shown}, {name}, p95 ms in the server": await p95_in_the_server(port, header, path)
        for shown, path in ways.items()
    }


# All of it ----------------------------------------------------------------------------------------


async def signed_in(port: int) -> str:
    body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    status, answer = await ask(port, request("POST", "/api/v1/auth/login", port, body=body))
    if status != 200:
        raise SystemExit(f"The sign-in was refused: {status} {answer.decode()[:300]}")
    return f"Authorization: Bearer {json.loads(answer)['access_token']}"


async def measured(port: int, number: int) -> dict[str, float]:
    header = await signed_in(port)
    await singles(port, header, number // 5)  # Warm.
    one = await singles(port, header, number)
    return {
        "single events, a second": one.a_second,
        "single events, p50 ms": one.p50_ms,
        "single events, p99 ms": one.p99_ms,
        "batches, ordered ids, events a second": await batches(
            port, header, number // 50, is_random=False
        ),
        "batches, random ids, events a second": await batches(
            port, header, number // 50, is_random=True
        ),
    }


@contextmanager
def server(home: Path, database: str) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "astralytiq.cli", "up", "--empty", "--home", str(home),
               "--port", str(port)]  # fmt: skip
    settings = {"ADMIN_PASSWORD": PASSWORD, "LOG_LEVEL": "ERROR", "DATABASE_URL": database,
                "ASTRALYTIQ_WORKERS": "0"}  # fmt: skip
    with served(command, port, "/api/v1/health/ready", **settings):
        yield port


def run(
    folder: Path, database: str, number: int, few: int, many: int
) -> Iterator[dict[str, float]]:
    groups = max(20, number // 50)
    yield {
        "bare store, groups of 64, rows a second": bare(folder, groups, CONNECTIONS),
        "bare store, groups of 1,000, ordered ids": bare(folder, groups, BATCH),
        "bare store, groups of 1,000, random ids": bare(folder, groups, BATCH, is_random=True),
    }
    home = folder / "home"
    with server(home, database) as port:
        yield uvloop.run(measured(port, number))
    stored = count()
    for name, size in (("few", few), ("many", many)):
        if database:
            wanted = size - next(stored) * few  # One database: what is there counts.
            url, where = database, home
        else:
            where = folder / name
            wanted, url = size, f"sqlite:///{where / 'astralytiq.db'}"
        where.mkdir(exist_ok=True)
        migrations.upgrade(url)
        uvloop.run(fill(url, wanted))
        with server(where, database) as port:
            yield uvloop.run(with_header(port, name))


async def with_header(port: int, name: str) -> dict[str, float]:
    return await reads(port, await signed_in(port), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events", type=int, default=20_000, help="single ones; 20 times in batches"
    )
    parser.add_argument("--few", type=int, default=10_000, help="stored events")
    parser.add_argument("--many", type=int, default=10_000_000, help="stored events")
    parser.add_argument("--database", default="", help="default: SQLite in a temporary folder")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR")))
    try:
        for found in run(folder, arguments.database, arguments.events, arguments.few,
                         arguments.many):  # fmt: skip
            for name, value in found.items():
                goal = f"   goal {GOALS[name]}" if name in GOALS else ""
                print(f"{name:64}{value:14,.2f}{goal}", flush=True)  # noqa: T201 - a bench prints
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
