"""What our whole stack of middleware leaves of a bare FastAPI's "hello", and what each part takes.

Two measures, both of CPU time a request, because that holds on a machine that others use too:

- by HTTP: one server process each (uvicorn, uvloop) on loopback, 64 connections: the processor time
  of the server, divided by its answers;
- inside one process, without a server: what each layer adds to "hello", by an ASGI driver.

"hello" returns a dict from an open door; ours is the liveness door, which does the same. It is
logged: one structured line a request, to /dev/null.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import INFO, WARNING, getLogger
from pathlib import Path
from typing import Any

import psutil
import uvloop
from fastapi import FastAPI
from loading import WARM_UP, Asking, free_port, request, wait_for

from astralytiq.app import create_app
from astralytiq.core import logging, middleware
from astralytiq.core.metrics import Performance
from astralytiq.core.settings import Settings
from astralytiq.core.web import room

GOAL, MOONSHOT = 0.55, 0.7
OURS = "/api/v1/health/live"
CONNECTIONS = 64
Layer = tuple[Any, dict[str, Any]]

HELLO = """
import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello():
    return {"message": "hello"}


uvicorn.run(app, port=PORT, log_level="error", access_log=False)
"""


@dataclass(frozen=True)
class Measured:
    """Microseconds of the processor for a request, and requests a second."""

    cpu: float
    a_second: float


# By HTTP ----------------------------------------------------------------------------------------


@contextmanager
def server(command: list[str], port: int, path: str) -> Iterator[psutil.Process]:
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, path)
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait(30)


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def microseconds(process: psutil.Process, port: int, path: str, seconds: float) -> Measured:
    """Of the server's processor a request, while all connections ask."""
    loop, message = asyncio.get_running_loop(), request("GET", path, port)
    pairs = [
        await loop.create_connection(lambda: Asking(message), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]

    def answers() -> int:
        return sum(len(one.seconds) for _, one in pairs)

    await asyncio.sleep(WARM_UP)
    before, count, began = spent(process), answers(), time.perf_counter()
    await asyncio.sleep(seconds)
    used, count, took = spent(process) - before, answers() - count, time.perf_counter() - began
    for transport, _ in pairs:
        transport.close()
    if any(one.failed for _, one in pairs):
        raise SystemExit(f"Not every answer of {path} was 200, so the figure would mean nothing.")
    return Measured(used / count * 1e6, count / took)


def by_http(home: str, seconds: float, repeats: int) -> dict[str, float]:
    first, second = free_port(), free_port()
    hello = [sys.executable, "-c", HELLO.replace("PORT", str(first))]
    ours = [sys.executable, "-m", "astralytiq.cli", "api", "--home", home, "--port", str(second)]
    found: list[tuple[Measured, Measured]] = []
    with server(hello, first, "/hello") as bare, server(ours, second, OURS) as whole:
        for _ in range(repeats):  # In turns: the machine's moods meet both.
            plain = uvloop.run(microseconds(bare, first, "/hello", seconds))
            found.append((plain, uvloop.run(microseconds(whole, second, OURS, seconds))))
    return {
        "hello, us of CPU": statistics.median(bare.cpu for bare, _ in found),
        "ours, us of CPU": statistics.median(whole.cpu for _, whole in found),
        "ratio by CPU": statistics.median(bare.cpu / whole.cpu for bare, whole in found),
        "ratio by requests/s": statistics.median(w.a_second / b.a_second for b, w in found),
    }


# Inside one process -----------------------------------------------------------------------------


def stacks(performance: Performance) -> dict[str, tuple[Callable[[], Any], int]]:
    """Each with one layer more, and the level of the log with which it is driven."""
    unbroken: Layer = (middleware.Unbroken, {})
    limit: Layer = (middleware.BodyLimit, {"megabytes": 10, "upload_megabytes": 512})
    context: Layer = (middleware.RequestContext, {"slow_seconds": 2.0, "performance": performance})
    quiet, loud = WARNING, INFO
    return {
        "hello": (lambda: hello_app(), quiet),
        "+ writes end (Unbroken)": (lambda: hello_app(unbroken), quiet),
        "+ body limit": (lambda: hello_app(unbroken, limit), quiet),
        "+ id, headers, count": (lambda: hello_app(unbroken, limit, context), quiet),
        "+ log line": (lambda: hello_app(unbroken, limit, context), loud),
        "+ a door in a room": (lambda: hello_app(unbroken, limit, context, inside=True), loud),
    }


def hello_app(*layers: Layer, inside: bool = False) -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False} if layers else None)

    async def hello() -> dict[str, str]:
        return {"message": "hello"}

    if inside:
        router = room("/hello", "bench")
        router.get("")(hello)
        app.include_router(router)
    else:
        app.get("/hello")(hello)
    for layer, options in layers:
        app.add_middleware(layer, **options)
    return app


async def drive(app: Any, path: str, requests: int) -> float:
    """Microseconds of the processor for a request."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody listens."""

    began = time.process_time()
    for _ in range(requests):
        await app(scope_of(path), receive, send)
    return (time.process_time() - began) / requests * 1e6


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "headers": [(b"host", b"127.0.0.1:8000")],
        "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8000),
    }  # fmt: skip


def by_layer(home: str, requests: int, repeats: int) -> dict[str, float]:
    chosen = stacks(Performance())
    apps = {name: make() for name, (make, _) in chosen.items()}
    found: dict[str, list[float]] = {name: [] for name in apps}
    whole = create_app(Settings(_env_file=None, astralytiq_home=Path(home)))
    found["the whole application"] = []
    for _ in range(repeats + 1):
        for name, app in apps.items():
            getLogger().setLevel(chosen[name][1])
            found[name].append(uvloop.run(drive(app, "/hello", requests)))
        found["the whole application"].append(uvloop.run(alive(whole, requests)))
    return {name: statistics.median(times[1:]) for name, times in found.items()}


async def alive(app: FastAPI, requests: int) -> float:
    async with app.router.lifespan_context(app):
        return await drive(app, OURS, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run by HTTP")
    parser.add_argument("--requests", type=int, default=5000, help="of each run inside")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - where the lines of the log go
    logging.configure("INFO")
    with tempfile.TemporaryDirectory() as folder:
        layers = by_layer(str(Path(folder) / "inside"), given.requests, given.repeats)
        before = 0.0
        for name, value in layers.items():
            more = f"{value - before:+8.1f}" if before else ""
            print(f"{name:26}{value:8.1f} us of CPU{more}")  # noqa: T201 - a bench prints
            before = value
        for name, value in by_http(
            str(Path(folder) / "home"), given.seconds, given.repeats
        ).items():
            goal = f"   goal {GOAL:g}, moonshot {MOONSHOT:g}" if name == "ratio by CPU" else ""
            print(f"{name:26}{value:8.2f}{goal}")  # noqa: T201


if __name__ == "__main__":
    main()
