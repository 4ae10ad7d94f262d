"""Sockets that watch: are all messages told, how late, and what if some stop reading?

One server process, beside it a process that commits messages as a worker does (50 a second), and
here 500 clients that count what they hear. Then again while 50 of them read nothing at all. A
message's age is taken when the client has it: from before its commit.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop
from loading import free_port, post, served

CLIENTS, SLEEPERS, A_SECOND, SECONDS = 500, 50, 50, 10
PASSWORD = "a long password of the bench"  # pragma: allowlist secret
GOALS = {"p99 ms": "50", "told": "all", "server, MB more": "bounded"}
SAYER = """
import asyncio, sys, time
from astralytiq.core.broadcast import publish
from astralytiq.core.db import Database

async def main(url, count, a_second):
    database = Database(url)
    began = time.time()
    for number in range(count):
        await asyncio.sleep(max(0, began + number / a_second - time.time()))
        async def say(session):
            publish(session, f"run/{number % 7}", {"number": number, "sent": time.time()})
        await database.write(say)
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
"""


@dataclass
class Heard:
    """What one client was told."""

    numbers: list[int] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)


class Watcher(asyncio.Protocol):
    """A client that costs as little as it can: servers send unmasked frames."""

    def __init__(self, port: int, token: str) -> None:
        self.hello = (
            f"GET /ws/dashboard?topics=runs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        ).encode()
        self.buffer = bytearray()
        self.open = False
        self.greeted = asyncio.get_running_loop().create_future()
        self.heard = Heard()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.hello)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self.buffer[:end]:
                raise SystemExit(self.buffer.decode())
            del self.buffer[: end + 4]
            self.open = True
        while (text := self.frame()) is not None:
            self.take(text)

    def frame(self) -> bytes | None:
        if len(self.buffer) < 2:
            return None
        size, start = self.buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(self.buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(self.buffer[2:10], "big"), 10
        if len(self.buffer) < start + size:
            return None
        text = bytes(self.buffer[start : start + size])
        del self.buffer[: start + size]
        return text

    def take(self, text: bytes) -> None:
        if text.startswith(b'{"type":"run"'):
            data = json.loads(text)["data"]
            self.heard.numbers.append(data["number"])
            self.heard.ages.append(time.time() - data["sent"])
        elif text.startswith(b'{"type":"snapshot"') and not self.greeted.done():
            self.greeted.set_result(None)


async def watched(port: int, token: str, clients: int) -> list[Watcher]:
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(clients):
        _, watcher = await loop.create_connection(lambda: Watcher(port, token), "127.0.0.1", port)
        await watcher.greeted
        opened.append(watcher)
    return opened


async def round_of(
    server: psutil.Process, port: int, token: str, database: str, asked: argparse.Namespace,
    sleepers: int,
) -> dict[str, float | str]:  # fmt: skip
    watchers = await watched(port, token, asked.clients)
    for watcher in watchers[:sleepers]:
        watcher.transport.pause_reading()
    awake = watchers[sleepers:]
    before, spent = server.memory_info().rss, sum(server.cpu_times()[:2])
    count = asked.a_second * asked.seconds
    command = [sys.executable, "-c", SAYER, database, str(count), str(asked.a_second)]
    sayer = await asyncio.create_subprocess_exec(*command)
    await sayer.wait()
    await asyncio.sleep(1)
    busy = sum(server.cpu_times()[:2]) - spent
    for watcher in watchers:
        watcher.transport.abort()
    ages = sorted(age for watcher in awake for age in watcher.heard.ages)
    whole = sum(watcher.heard.numbers == list(range(count)) for watcher in awake)
    return {
        "told": "all" if whole == len(awake) else f"{whole} of {len(awake)} clients heard all",
        "p50 ms": statistics.median(ages) * 1000,
        "p99 ms": ages[int(len(ages) * 0.99)] * 1000,
        "server, cores": busy / (asked.seconds + 1),
        "server, MB more": (server.memory_info().rss - before) / 1e6,
    }


async def measure(port: int, pid: int, database: str, asked: argparse.Namespace) -> None:
    account = {"email": "bench@example.com", "username": "bench", "password": PASSWORD}
    await post(port, "/api/v1/auth/register", account)
    credentials = {"email": account["email"], "password": PASSWORD}
    _, answer = await post(port, "/api/v1/auth/login", credentials)
    token, server = answer["access_token"], psutil.Process(pid)
    for sleepers in (0, asked.sleepers):
        found = await round_of(server, port, token, database, asked, sleepers)
        tell(f"{asked.clients} clients, {sleepers} of them read nothing, {asked.a_second}/s:")
        for name, value in found.items():
            shown = value if isinstance(value, str) else f"{value:,.1f}"
            goal = f"   goal {GOALS[name]}" if name in GOALS else ""
            tell(f"  {name:<18}{shown:>12}{goal}")
        await asyncio.sleep(1)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--sleepers", type=int, default=SLEEPERS)
    parser.add_argument("--a-second", type=int, default=A_SECOND)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        home, port = Path(folder) / "home", free_port()
        command = [sys.executable, "-m", "astralytiq.cli", "up", "--empty", "--home", str(home),
                   "--port", str(port)]  # fmt: skip
        stack.enter_context(
            served(command, port, "/api/v1/health/ready", RATE_LIMIT="1000000/second")
        )
        pid = int((home / "server.pid").read_text())
        database = f"sqlite:///{home / 'astralytiq.db'}"
        uvloop.run(measure(port, pid, database, asked))


if __name__ == "__main__":
    main()
