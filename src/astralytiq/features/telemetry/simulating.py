"""Plays devices: posts what made-up drivers do, as it happens, and again if it did not arrive."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import takewhile
from math import ceil
from typing import Any
from uuid import uuid4

from astralytiq.client import Client, ClientError
from astralytiq.engines.eyes import Span, trace

TICK_SECONDS = 0.5  # What happened in between is one batch.
MOST_AT_ONCE = 5_000
WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds before it is sent again; doubled each time

Watch = Callable[[float, int], None]
Timed = tuple[float, int, Span]


@dataclass(frozen=True)
class Plan:
    devices: int
    rate: float
    seconds: float
    seed: int
    one_by_one: bool = False
    patience: float = 60.0  # seconds that a server may be away


@dataclass
class Told:
    """What came of it."""

    devices: int
    events: int = 0
    drowsy: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0

    @property
    def shown(self) -> dict[str, Any]:
        rate = self.events / self.seconds if self.seconds else 0.0
        return {
            **asdict(self),
            "seconds": round(self.seconds, 2),
            "events_a_second": round(rate, 1),
        }


class Simulation:
    def __init__(self, client: Client, plan: Plan) -> None:
        self._client = client
        self._plan = plan
        self._run = uuid4().hex[:8]  # Another run of the same seed sends events of its own.
        self.told = Told(plan.devices)

    def run(self, watch: Watch) -> Told:
        began, start = time.monotonic(), datetime.now(UTC)
        waiting: list[dict[str, Any]] = []
        for due, event in events_of(self._plan, self._run, start):
            tick = ceil(due / TICK_SECONDS) * TICK_SECONDS
            while (left := tick - (time.monotonic() - began)) > 0:
                waiting = self._send(waiting)
                self._note(began, watch)
                time.sleep(min(left, TICK_SECONDS))
            waiting.append(event)
            if len(waiting) >= MOST_AT_ONCE:
                waiting = self._send(waiting)
        self._send(waiting)
        self._note(began, watch)
        return self.told

    def _note(self, began: float, watch: Watch) -> None:
        self.told.seconds = time.monotonic() - began
        watch(min(self.told.seconds, self._plan.seconds), self.told.events)

    def _send(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers an empty list: nothing waits any more."""
        if self._plan.one_by_one:
            for event in events:
                self._post("/telemetry", event)
        elif events:
            self._post("/telemetry/batch", {"events": events})
        self.told.events += len(events)
        self.told.drowsy += sum(event["is_drowsy"] for event in events)
        return []

    def _post(self, path: str, body: dict[str, Any]) -> None:
        """With the same ids each time: what had arrived without an answer is stored once."""
        ends, wait = time.monotonic() + self._plan.patience, WAIT
        while True:
            try:
                self._client.post(path, json=body)
            except ClientError as error:
                if not may_help(error) or time.monotonic() + wait > ends:
                    raise
                self.told.retries += 1
                time.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                self.told.requests += 1
                return


def events_of(plan: Plan, run: str, start: datetime) -> Iterator[tuple[float, dict[str, Any]]]:
    """Of all devices, each with the second at which its span is over."""
    traces = [spans_of(plan, device) for device in range(plan.devices)]
    for number, (end, device, span) in enumerate(merge(*traces)):
        yield (
            end,
            {
                "ear_value": span.ear,
                "is_drowsy": span.is_drowsy,
                "duration_ms": round(span.seconds * 1000, 3),
                "timestamp": (start + timedelta(seconds=span.at)).isoformat(),
                "device_id": f"simulated-{device + 1:03}",
                "session_id": f"simulated-{run}",
                "event_id": f"{run}-{number:08}",
            },
        )


def spans_of(plan: Plan, device: int) -> Iterator[Timed]:
    spans = trace(f"{plan.seed}/{device}", plan.rate)
    timed = ((span.end, device, span) for span in spans)
    return takewhile(lambda one: one[0] <= plan.seconds, timed)


def may_help(error: ClientError) -> bool:
    """To send it again: the server was away or busy, or asked to wait."""
    return error.status is None or error.status in (429, 503, 507) or error.status >= 500
