"""Start-up and idle memory: `astralytiq up` and `--help`, beside what Python itself costs.

Prints medians, and ratios to the bare interpreter and to importing the two heaviest libraries.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

COMMAND = [sys.executable, "-m", "astralytiq.cli"]
READY = "/api/v1/health/ready"
GOALS = {
    "help": "0.5 s",
    "first start": "4 s (moonshot 3)",
    "second start": "3 s (moonshot 2)",
    "idle memory of the main process": "200 MB",
}


def timed(command: list[str], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


@contextmanager
def started(home: Path, port: int) -> Iterator[tuple[float, subprocess.Popen[bytes]]]:
    """A server, and the seconds until its readiness door said yes."""
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    began = time.perf_counter()
    server = subprocess.Popen(
        [*COMMAND, "up", "--home", str(home), "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(port, began)
        yield time.perf_counter() - began, server
    finally:
        server.terminate()
        server.wait(30)


def wait_until_ready(port: int, began: float) -> None:
    while time.perf_counter() - began < 60:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{READY}", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise SystemExit("The server was not ready within 60 s.")


def measure_starts(repeats: int, port: int) -> dict[str, float]:
    first, second, memory, workers = [], [], [], []
    for number in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            with started(home, port + number) as (seconds, _):
                first.append(seconds)
                time.sleep(3)
            with started(home, port + number) as (seconds, server):
                second.append(seconds)
                time.sleep(4)  # Idle: the workers are up, nothing is running.
                process = psutil.Process(server.pid)
                memory.append(process.memory_info().rss / 1e6)
                children = process.children(recursive=True)
                workers.append(sum(child.memory_info().rss for child in children) / 1e6)
    return {
        "first start": statistics.median(first),
        "second start": statistics.median(second),
        "idle memory of the main process": statistics.median(memory),
        "idle memory of its workers": statistics.median(workers),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--port", type=int, default=18400)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    bare = timed([sys.executable, "-c", "pass"], 5)
    libraries = timed([sys.executable, "-c", "import fastapi, sqlalchemy.ext.asyncio"], 3)
    figures = {"help": timed([*COMMAND, "--help"], 5), **measure_starts(given.repeats, given.port)}
    if given.json:
        print(json.dumps({"bare": bare, "libraries": libraries, **figures}))  # noqa: T201
        return
    print(f"python -c pass {bare:.3f} s; import of FastAPI and SQLAlchemy {libraries:.2f} s")  # noqa: T201
    for name, value in figures.items():
        seconds = "memory" not in name
        shown = f"{value:6.2f} s " if seconds else f"{value:6.0f} MB"
        ratio = f"{value / libraries:5.2f}x the libraries" if seconds else ""
        print(f"{name:34} {shown}  {ratio:24} goal: {GOALS.get(name, '-')}")  # noqa: T201


if __name__ == "__main__":
    main()
