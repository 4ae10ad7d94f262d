"""Servers of a bench, and a client that costs as little as it can."""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

WARM_UP = 1.0


# Servers ----------------------------------------------------------------------------------------


@contextmanager
def served(command: list[str], port: int, path: str, **environment: str) -> Iterator[None]:
    server = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_for(port, path)
        yield
    finally:
        server.terminate()
        server.wait(30)


def wait_for(port: int, path: str) -> None:
    for _ in range(600):
        try:
            if asyncio.run(ask(port, request("GET", path, port)))[0] == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"Nothing answers on port {port}: is it taken?")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# A client that costs as little as it can ---------------------------------------------------------


def request(method: str, path: str, port: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def length_of(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 : head.find(b"\r\n", at)]) if at >= 0 else 0


@dataclass(frozen=True)
class Load:
    """Answers a second, and the seconds that each took."""

    a_second: float
    seconds: list[float]

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.seconds) * 1000

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[-1] * 1000


class Asking(asyncio.Protocol):
    """One connection that asks the same thing again and again."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.seconds: list[float] = []
        self.buffer = b""
        self.failed = 0
        self.refusal = b""
        self.status = b"200"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self.ask()

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.message)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or len(self.buffer) < end + 4 + length_of(self.buffer[: end + 2]):
            return
        self.seconds.append(time.perf_counter() - self.began)
        if self.buffer[9:12] != self.status:
            self.failed += 1
            self.refusal = self.buffer
        self.buffer = b""
        self.ask()


async def throughput(port: int, message: bytes, seconds: float, connections: int = 64) -> float:
    """Answers a second over all connections."""
    return (await load(port, message, seconds, connections)).a_second


async def load(port: int, message: bytes, seconds: float, connections: int) -> Load:
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Asking(message), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(WARM_UP)
    for _, one in pairs:
        one.seconds.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    found = [second for _, one in pairs for second in one.seconds]
    for transport, _ in pairs:
        transport.close()
    if failed := [one for _, one in pairs if one.failed]:
        shown = failed[0].refusal.decode(errors="replace")
        raise SystemExit(f"Not every answer was 200, so the figure would mean nothing:\n{shown}")
    return Load(len(found) / took, found)


async def ask(port: int, message: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head[9:12]), await reader.readexactly(length_of(head))
    finally:
        writer.close()


async def post(port: int, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    message = request("POST", path, port, body=json.dumps(body).encode())
    status, answer = await ask(port, message)
    return status, json.loads(answer)
