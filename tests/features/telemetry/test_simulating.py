"""Played devices send what happened, once, whatever becomes of a request on its way."""

from collections.abc import Iterator
from typing import Any

import pytest

from astralytiq.client import ClientError
from astralytiq.features.telemetry import simulating
from astralytiq.features.telemetry.simulating import Plan, Simulation


class Unsteady:
    """A server that stores by id, and whose answers are lost as `losses` say."""

    def __init__(self, losses: Iterator[ClientError | None]) -> None:
        self.losses = losses
        self.stored: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests = 0

    def post(self, path: str, json: dict[str, Any]) -> dict[str, Any]:
        assert path in ("/telemetry", "/telemetry/batch")
        self.requests += 1
        for event in json.get("events", [json]):
            self.stored[event["device_id"], event["event_id"]] = event
        if error := next(self.losses, None):
            raise error
        return {}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulating, "WAIT", 0.001)
    monkeypatch.setattr(simulating, "TICK_SECONDS", 0.05)


def run(server: Unsteady, **values: Any) -> dict[str, Any]:
    values = {"devices": 20, "rate": 10, "seconds": 0.3, "seed": 7, **values}
    return Simulation(server, Plan(**values)).run(lambda *_: None).shown  # type: ignore[arg-type]


def test_what_happened_in_a_tick_is_a_batch() -> None:
    server = Unsteady(iter(()))
    told = run(server)
    assert told["events"] == len(server.stored) > 20
    assert server.requests == told["requests"] <= 7
    assert told["retries"] == 0


def test_events_may_go_one_by_one() -> None:
    server = Unsteady(iter(()))
    told = run(server, one_by_one=True, devices=3)
    assert told["events"] == told["requests"] == len(server.stored)


def test_what_was_lost_is_sent_again_with_the_same_ids() -> None:
    away, busy = ClientError("away"), ClientError("busy", 503)
    server = Unsteady(iter([away, None, busy, away, None]))
    told = run(server)
    assert told["retries"] == 3
    assert told["events"] == len(server.stored)
    assert server.requests == told["requests"] + 3


def test_the_same_drivers_do_the_same_again_in_a_run_of_their_own() -> None:
    one, two = Unsteady(iter(())), Unsteady(iter(()))
    run(one)
    run(two)
    assert not one.stored.keys() & two.stored.keys()
    what = ("device_id", "ear_value", "duration_ms", "is_drowsy")
    first, second = [
        sorted(tuple(event[name] for name in what) for event in server.stored.values())
        for server in (one, two)
    ]
    assert first == second


def test_what_no_retry_helps_is_told_at_once() -> None:
    server = Unsteady(iter([ClientError("no permission", 403)]))
    with pytest.raises(ClientError, match="no permission"):
        run(server)
    assert server.requests == 1


def test_patience_has_an_end() -> None:
    server = Unsteady(ClientError("away") for _ in range(10_000))
    with pytest.raises(ClientError, match="away"):
        run(server, patience=0.02)
