"""What requests are counted as, in which windows, and that memory stays bounded."""

import json
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.app import create_app
from astralytiq.core import logging as our_logging
from astralytiq.core.metrics import (
    LAST_BIN,
    MOST_DOORS,
    OTHER,
    QUANTILE_ERROR,
    Performance,
    Tally,
    bin_of,
    longest_of,
)
from astralytiq.core.middleware import NO_ROUTE, SELF_TEST, door_of
from astralytiq.core.settings import Settings
from tests.factories import make_client

DOOR = ("GET", "/things/{thing_id}")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quantile_is_within_the_error_that_is_stated() -> None:
    chance = random.Random(7)
    seconds = sorted(chance.lognormvariate(-5, 2) for _ in range(20_000))
    tally = Tally()
    for one in seconds:
        tally.add(one, 200)
    for share in (0.01, 0.5, 0.95, 0.99, 1.0):
        exact = seconds[max(0, round(share * len(seconds)) - 1)]
        assert tally.quantile(share) == pytest.approx(exact, rel=QUANTILE_ERROR + 1e-3)
    assert tally.slowest == seconds[-1]
    assert tally.mean == pytest.approx(sum(seconds) / len(seconds))
    assert QUANTILE_ERROR < 0.045


def test_every_duration_has_a_bin_whose_bounds_hold_it() -> None:
    for seconds in (0.0, 1e-6, 1e-5, 0.00123, 0.04, 1.0, 59.9, 167.0):
        bin_ = bin_of(seconds)
        assert seconds <= longest_of(bin_) * (1 + 1e-9)
        assert bin_ == 0 or seconds >= longest_of(bin_ - 1) * (1 - 1e-9)
    assert bin_of(1e9) == LAST_BIN


def test_windows_forget_what_is_older_and_the_total_forgets_nothing() -> None:
    clock = Clock()
    performance = Performance(clock)
    for _ in range(90 * 12):  # 90 minutes, one request every five seconds
        performance.record(DOOR, 0.01, 200)
        clock.now += 5
    snapshot = performance.snapshot()
    assert snapshot.total.tallies[DOOR].count == 90 * 12
    for seconds, slack in ((60.0, 5), (300.0, 60), (900.0, 60), (3600.0, 60)):
        window = snapshot.window(seconds)
        covered = window.ended - window.began
        assert seconds <= covered <= seconds + slack
        assert window.tallies[DOOR].count == pytest.approx(covered / 5, abs=1)
    clock.now += 7200
    assert performance.snapshot().window(60.0).tallies == {}
    assert performance.snapshot().total.tallies[DOOR].count == 90 * 12


def test_errors_of_callers_and_of_ours_are_counted_apart() -> None:
    performance = Performance()
    for status in (200, 304, 404, 422, 500, 503, 503):
        performance.record(DOOR, 0.001, status)
    tally = performance.snapshot().window(300.0).tallies[DOOR]
    assert (tally.count, tally.client_errors, tally.server_errors) == (7, 2, 3)


def test_a_snapshot_stays_as_it_was() -> None:
    performance = Performance()
    performance.record(DOOR, 0.001, 200)
    snapshot = performance.snapshot()
    performance.record(DOOR, 0.001, 200)
    assert snapshot.window(60.0).tallies[DOOR].count == snapshot.total.tallies[DOOR].count == 1


def test_however_many_doors_there_seem_to_be_memory_stays_bounded() -> None:
    performance = Performance()
    for number in range(MOST_DOORS + 50):
        performance.record(("GET", f"/{number}"), 0.001, 200)
    tallies = performance.snapshot().total.tallies
    assert len(tallies) == MOST_DOORS + 1
    assert tallies[OTHER].count == 50


def test_paths_of_a_mounted_application_are_one_door() -> None:
    class Route:
        path = "/api/2.0/runs/{run}"

    scope = {"method": "GET", "path": "/mlflow/api/2.0/runs/7", "route": Route()}
    mounted = {**scope, "app_root_path": "", "root_path": "/mlflow"}
    assert door_of(mounted) == ("GET", "/mlflow/{path}")


# By the door ------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_requests_are_counted_by_template_and_method(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    for path in ("/api/v1/jobs/one", "/api/v1/jobs/two", "/health/", "/health", "/docs"):
        await client.get(path)
    for path in ("/nowhere/1", "/nowhere/2"):
        await client.get(path)
    await client.request("BREW", "/health")
    await client.delete("/api/v1/health")
    counted = {door: t.count for door, t in app.state.performance.snapshot().total.tallies.items()}
    assert counted == {
        ("GET", "/api/v1/jobs/{job_id}"): 2,
        ("GET", "/health"): 2,
        ("GET", "/docs"): 1,
        ("GET", NO_ROUTE): 2,
        ("OTHER", "/health"): 1,
        ("DELETE", "/api/v1/health"): 1,
    }
    assert app.state.performance.in_progress == 0


@pytest.mark.anyio
async def test_what_we_ask_ourselves_is_not_counted(app: FastAPI) -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {SELF_TEST: True}}, receive, send)

    async with make_client(own) as client:  # type: ignore[arg-type]
        assert (await client.get("/health/live")).status_code == 200
    assert app.state.performance.snapshot().total.tallies == {}


# Lines of the log -------------------------------------------------------------------------------


@contextmanager
def only_ours() -> Iterator[StringIO]:
    """What our handler writes while it is the only one (pytest brings its own to every test)."""
    written, root, access = StringIO(), logging.getLogger(), logging.getLogger("astralytiq.access")
    handler = our_logging.Lines(written)
    handler.setFormatter(our_logging.JsonFormatter())
    others, level = root.handlers[:], access.level
    root.handlers[:] = [handler]
    access.setLevel(logging.INFO)
    try:
        yield written
    finally:
        root.handlers[:] = others
        access.setLevel(level)


@pytest.mark.anyio
async def test_a_request_writes_one_line_that_names_it(client: httpx2.AsyncClient) -> None:
    given = {"X-Request-ID": "mine-1"}
    with only_ours() as lines:
        answer = await client.get("/nowhere/password=hunter2", headers=given)
    assert answer.headers["x-request-id"] == "mine-1"
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert line.pop("time").endswith("+00:00")
    assert line.pop("milliseconds") >= 0
    assert line == {
        "level": "info", "logger": "astralytiq.access", "message": "request",
        "request_id": "mine-1", "method": "GET", "path": "/nowhere/password=[redacted]",
        "status": 404, "client": "203.0.113.9",
    }  # fmt: skip


@pytest.mark.anyio
async def test_a_slow_request_is_a_warning_with_its_route(
    settings: Settings,
) -> None:
    app = create_app(settings.model_copy(update={"slow_request_seconds": 1e-9}))
    async with app.router.lifespan_context(app), make_client(app) as client:
        with only_ours() as lines:
            await client.get("/api/v1/jobs/some-job")
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (line["level"], line["message"]) == ("warning", "slow request")
    assert (line["route"], line["path"]) == ("/api/v1/jobs/{job_id}", "/api/v1/jobs/some-job")
    assert line["request_id"]


def test_a_quick_line_is_the_same_as_a_record_s() -> None:
    log, fields = logging.getLogger("astralytiq.access"), {"path": "/x?token=abc", "status": 200}
    with only_ours() as lines:
        our_logging.write_line(log, logging.WARNING, "request", fields)
        log.warning("request", extra=fields)
    quick, usual = (json.loads(line) for line in lines.getvalue().splitlines())
    assert quick | {"time": 0} == usual | {"time": 0}
    assert list(quick) == list(usual)
