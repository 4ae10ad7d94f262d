"""A large CSV file by the door of a real server: time, the server's memory, and what others notice.

Beside it, what the conversion alone takes in a process of its own. The goal: the server grows by
less than 150 MB, whatever the size.
"""

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.journeys.servers import served

from astralytiq.client import Client
from astralytiq.engines.tabular import csv

HEADER = b"id,price,name,at,share,flag\n"
WHO, PHRASE = "bench@example.org", "only for this bench"
ACCOUNT = {"ADMIN_EMAIL": WHO, "ADMIN_PASSWORD": PHRASE}
UNBOUNDED = {"UPLOAD_LIMIT_MB": "1000000", "ASTRALYTIQ_WORKERS": "0"}
PAUSE = 0.05


@dataclass
class Watched:
    """The server's memory and the time of its quickest answer, while something else goes on."""

    base: int
    peak: int
    seconds: list[float] = field(default_factory=list)


def write(path: Path, megabytes: int) -> None:
    draw = random.Random(1)
    rows = (
        f"{draw.randint(0, 10**9)},{draw.random() * 1000:.6f},name {draw.randint(0, 99_999)},"
        f"2024-0{draw.randint(1, 9)}-1{draw.randint(0, 9)}T10:00:0{draw.randint(0, 9)}Z,"
        f"{draw.random():.9f},{draw.choice(('true', 'false'))}\n"
        for _ in range(100_000)
    )
    block = "".join(rows).encode()
    with path.open("wb") as file:
        file.write(HEADER)
        while file.tell() < megabytes << 20:
            file.write(block)


@contextmanager
def watching(server: psutil.Process, client: Client) -> Iterator[Watched]:
    memory = server.memory_info().rss
    seen, ended = Watched(memory, memory), threading.Event()

    def look() -> None:
        while not ended.wait(PAUSE):
            seen.peak = max(seen.peak, server.memory_info().rss)
            began = time.perf_counter()
            client.get("/health/live")
            seen.seconds.append(time.perf_counter() - began)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def send(client: Client, path: Path) -> float:
    began = time.perf_counter()
    with path.open("rb") as content:
        client.post("/datasets/upload", files={"file": (path.name, content)}, timeout=3600)
    return time.perf_counter() - began


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report(seconds: float, alone: float, seen: Watched) -> None:
    quantiles = statistics.quantiles(seen.seconds, n=100)
    say(f"upload {seconds:.1f} s, the conversion alone {alone:.1f} s")
    say(f"the server's memory {seen.base >> 20} MB, and {(seen.peak - seen.base) >> 20} MB more")
    say(f"/health/live meanwhile: p50 {quantiles[49]:.3f} s, p99 {quantiles[98]:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    size = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small.csv").write_bytes(HEADER + b"1,2.5,name,2024-01-11T10:00:00Z,0.5,true\n")
        write(folder / "large.csv", size)
        say(f"{(folder / 'large.csv').stat().st_size:,} bytes of CSV, 6 columns")
        with served(folder / "home", "up", cwd=folder, **ACCOUNT, **UNBOUNDED) as server:
            client, onlooker = Client(server.url), Client(server.url)
            client.sign_in(WHO, PHRASE)
            send(client, folder / "small.csv")  # What any first upload loads is no growth by size.
            with watching(psutil.Process(server.process.pid), onlooker) as seen:
                seconds = send(client, folder / "large.csv")
        began = time.perf_counter()
        with (folder / "alone.parquet").open("wb") as file:
            csv.to_parquet(folder / "large.csv", file)
        report(seconds, time.perf_counter() - began, seen)


if __name__ == "__main__":
    main()
