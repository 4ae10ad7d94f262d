"""Telemetry against a real server: with nothing but urllib, and through a kill -9 under load."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event as Signal
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from astralytiq.core.db import Database
from astralytiq.features.telemetry.models import Device, Event
from tests.features.telemetry.recount import refuse_wrong_sums
from tests.journeys.servers import eventually, served
from tests.journeys.test_clients import OldClient

DEVICES = 8
BATCH = 40
ENOUGH = 400  # events answered before the server is killed

Key = tuple[str, str]


def test_a_client_of_the_older_paths_posts_and_reads_as_ever(
    tmp_path: Path, database_url: str
) -> None:
    """On the server's own machine, without a sign-in: as the calls are known."""
    with served(tmp_path / "home", "up", DATABASE_URL=database_url) as server:
        client = OldClient(server.url)
        event = {"ear_value": 0.18, "is_drowsy": True, "duration_ms": 3500}
        logged = client.ask("POST", "/telemetry", event)
        assert logged.status == 200
        assert logged.body["status"] == "logged"
        assert logged.body["severity"] == "medium"
        assert {"event_id", "timestamp"} <= logged.body.keys()
        batch = client.ask("POST", "/telemetry/batch", {"events": [event, event]})
        assert (batch.status, batch.body["events_logged"]) == (200, 2)
        assert batch.body["status"] == "success"
        figures = client.ask("GET", "/statistics").body
        assert (figures["total_events"], figures["drowsy_events"]) == (3, 3)
        assert figures["drowsiness_rate"] == 100
        assert figures["severity_distribution"]["medium"] == 3
        shown = client.ask("GET", "/dashboard").body
        assert shown.keys() >= {"overall", "last_hour", "hourly", "status", "timestamp"}
        assert shown["status"] == "critical"
        recent = client.ask("GET", "/events/recent?limit=2").body
        assert (recent["count"], len(recent["events"])) == (2, 2)
        refused = client.ask("POST", "/telemetry", {**event, "ear_value": 1.5})
        assert refused.status == 422
        assert client.ask("DELETE", "/events/cache").status == 401


# kill -9 ----------------------------------------------------------------------------------------


class Sender:
    """A device that notes what it sent, and what it was told is logged."""

    def __init__(self, url: str, device: str, stop: Signal) -> None:
        self.address = urlsplit(url).netloc
        self.device = device
        self.stop = stop
        self.sent: set[Key] = set()
        self.logged: set[Key] = set()

    def run(self) -> None:
        """Single events and batches in turn, until nobody answers."""
        connection = HTTPConnection(self.address, timeout=120)
        for number in count():
            if self.stop.is_set():
                return
            many = BATCH if number % 4 == 0 else 1
            keys = [(self.device, f"{number}.{n}") for n in range(many)]
            self.sent |= set(keys)
            try:
                self.post(connection, keys)
            except (OSError, HTTPException):
                return
            self.logged |= set(keys)

    def post(self, connection: HTTPConnection, keys: list[Key]) -> None:
        events = [event_of(key) for key in keys]
        body: Any = events[0] if len(events) == 1 else {"events": events}
        path = "/telemetry" if len(events) == 1 else "/telemetry/batch"
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()


def event_of(key: Key) -> dict[str, Any]:
    device, event_id = key
    return {
        "device_id": device,
        "event_id": event_id,
        "ear_value": len(event_id) / 20,
        "is_drowsy": event_id.endswith("7"),
        "duration_ms": 150,
    }


async def stored(url: str) -> tuple[list[Key], int]:
    """Which events there are, once the sums were found to be right."""
    database = Database(url)
    try:
        count = await refuse_wrong_sums(database)
        query = select(Device.device_id, Event.event_id).join(Event, Event.device == Device.id)
        async with database.reading() as session:
            return [(device, event) for device, event in await session.execute(query)], count
    finally:
        await database.close()


def senders(url: str, stop: Signal) -> list[Sender]:
    return [Sender(url, f"d{n}", stop) for n in range(DEVICES)]


def batches_of(keys: set[Key], size: int = 1000) -> Iterator[list[Key]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def test_whatever_was_answered_before_a_kill_is_there_once(
    tmp_path: Path, database_url: str
) -> None:
    home, stop = tmp_path / "home", Signal()
    with served(home, "up", DATABASE_URL=database_url) as server:
        devices = senders(server.url, stop)
        with ThreadPoolExecutor(DEVICES) as pool:
            sending = [pool.submit(device.run) for device in devices]
            eventually(lambda: sum(len(device.logged) for device in devices) > ENOUGH)
            server.kill()  # While all of them wait for an answer.
            for one in sending:
                one.result()
    logged = set().union(*(device.logged for device in devices))
    sent = set().union(*(device.sent for device in devices))
    assert len(sent) > len(logged), "nothing was on its way when the server was killed"

    with served(home, "up", DATABASE_URL=database_url) as server:
        found, number = asyncio.run(stored(database_url))
        assert logged <= set(found) <= sent
        assert len(found) == len(set(found)) == number
        # As a device does that got no answer: everything again, with the same ids.
        again = Sender(server.url, "again", stop)
        connection = HTTPConnection(again.address, timeout=120)
        for keys in batches_of(sent):
            again.post(connection, keys)
        connection.close()
        found, number = asyncio.run(stored(database_url))
        assert set(found) == sent
        assert number == len(sent)
