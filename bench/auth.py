"""Signed requests and sign-ins, beside a bare FastAPI "hello" in the same run.

Three figures, each of one server process (uvicorn, uvloop) on loopback:

- requests a second of a signed `GET /api/v1/auth/me` over 64 connections, as a ratio to "hello";
- the median of a sign-in (bcrypt at cost 12) with 4 at once, and of refused ones;
- the 99th percentile of `GET /api/v1/health/live` while 50 sign-ins are under way.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from loading import ask, free_port, post, request, served, throughput

GOALS = {"ratio": 0.35, "sign-in ms": 300.0, "live p99 ms": 100.0}
ACCOUNTS = 54
PASSWORD = "a long password of the bench"  # pragma: allowlist secret

HELLO = """
import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello():
    return {"message": "hello"}


uvicorn.run(app, port=PORT, log_level="error", access_log=False)
"""


# What is measured -------------------------------------------------------------------------------


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def sign_in(port: int, number: int, password: str = PASSWORD) -> int:
    body = {"username": f"bench{number}", "password": password}
    return (await post(port, "/api/v1/auth/login", body))[0]


async def sign_in_times(port: int, at_once: int, rounds: int) -> list[float]:
    """Milliseconds of each sign-in, `at_once` at a time."""
    found: list[float] = []
    for _ in range(rounds):
        found += await asyncio.gather(
            *(timed(lambda n=n: sign_in(port, n)) for n in range(at_once))  # type: ignore[misc]
        )
    return found


async def refusal_times(port: int, first: int, rounds: int) -> float:
    """The median of refused sign-ins, a different account each time (so that none is throttled)."""
    return statistics.median(
        [await timed(lambda n=n: sign_in(port, first + n, "wrong")) for n in range(rounds)]  # type: ignore[misc]
    )


async def live_times(port: int, sign_ins: int) -> list[float]:
    """Milliseconds of the liveness door while sign-ins are under way."""
    under_way = asyncio.gather(*(sign_in(port, n) for n in range(sign_ins)))
    message, found = request("GET", "/api/v1/health/live", port), []
    while not under_way.done():
        found.append(await timed(lambda: ask(port, message)))
        await asyncio.sleep(0.005)
    if set(await under_way) != {200}:
        raise SystemExit(f"Not every sign-in succeeded: {sorted(set(await under_way))}")
    return found


async def measure(port: int, hello_port: int, seconds: float, repeats: int) -> dict[str, float]:
    for number in range(ACCOUNTS):
        body = {"email": f"bench{number}@example.com", "username": f"bench{number}"}
        await post(port, "/api/v1/auth/register", body | {"password": PASSWORD})
    _, signed = await post(port, "/api/v1/auth/login", {"username": "bench0", "password": PASSWORD})
    token = f"Authorization: Bearer {signed['access_token']}"
    me = request("GET", "/api/v1/auth/me", port, token)
    hello = request("GET", "/hello", hello_port)
    bare, ours = [], []
    for _ in range(repeats):  # In turns: the machine's moods meet both.
        bare.append(await throughput(hello_port, hello, seconds))
        ours.append(await throughput(port, me, seconds))
    return {
        "hello /s": statistics.median(bare),
        "me /s": statistics.median(ours),
        "ratio": statistics.median(o / b for o, b in zip(ours, bare, strict=True)),
        "sign-in ms": statistics.median(await sign_in_times(port, 4, 8)),
        "refused, known ms": await refusal_times(port, 0, 9),
        "refused, unknown ms": await refusal_times(port, 100, 9),
        "live p99 ms": statistics.quantiles(await live_times(port, 50), n=100)[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each throughput run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate-limit", default="", help="RATE_LIMIT of the server, as 6000/minute")
    arguments = parser.parse_args()
    port, hello_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        ours = [sys.executable, "-m", "astralytiq.cli", "up", "--empty", "--home", home]
        limits = {"RATE_LIMIT": arguments.rate_limit, "ASTRALYTIQ_WORKERS": "0"}
        hello = [sys.executable, "-c", HELLO.replace("PORT", str(hello_port))]
        with (
            served([*ours, "--port", str(port)], port, "/api/v1/health/ready", **limits),
            served(hello, hello_port, "/hello"),
        ):
            found = uvloop.run(measure(port, hello_port, arguments.seconds, arguments.repeats))
    for name, value in found.items():
        goal = f"   goal {GOALS[name]:g}" if name in GOALS else ""
        print(f"{name:22}{value:10.2f}{goal}")  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
