"""Drivers fall asleep, somebody is woken: once, whatever happens to the server meanwhile."""

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from astralytiq.client import Client
from tests.journeys.servers import eventually, served


class Pager(ThreadingHTTPServer):
    """Takes webhooks; `is_away` answers that it cannot now."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receive)
        self.is_away = True
        self.asked = 0
        self.got: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"

    def changes(self) -> list[str]:
        return [body["change"] for body in self.got]


class Receive(BaseHTTPRequestHandler):
    server: Pager

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        assert self.headers["X-AstralytiQ-Signature"].startswith("t=")
        if not self.server.is_away:
            self.server.got.append(body)
        self.send_response(503 if self.server.is_away else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def pager() -> Any:
    found = Pager()
    serving = threading.Thread(target=found.serve_forever, daemon=True)
    serving.start()
    yield found
    found.shutdown()
    serving.join()
    found.server_close()


def drive(client: Client, events: int, *, drowsy: bool) -> None:
    event = {"ear_value": 0.15 if drowsy else 0.35, "is_drowsy": drowsy, "duration_ms": 3000}
    client.post("/telemetry/batch", json={"events": [{**event, "device_id": "cab-7"}] * events})


def statuses(client: Client) -> list[str]:
    return [alert["status"] for alert in client.get("/alerts")]


def test_somebody_is_woken_once_and_told_when_it_is_over(
    tmp_path: Path, database_url: str, pager: Pager
) -> None:
    start = partial(
        served, tmp_path / "home", DATABASE_URL=database_url, ALLOW_PRIVATE_SOURCES="127.0.0.1"
    )
    with start() as server, server.signed_in() as client:
        channel = {"name": "pager", "kind": "webhook", "url": pager.url}
        client.post("/alerts/channels", json=channel)
        rule = {"name": "drivers sleep", "metric": "drowsiness_rate", "operator": ">"}
        client.post("/alerts/rules", json={**rule, "threshold": 50, "channels": ["pager"]})
        drive(client, 20, drowsy=True)
        eventually(lambda: statuses(client) == ["firing"])
        eventually(lambda: pager.asked)  # It is asked for, and the pager is away.
        server.kill()

    assert pager.got == []
    pager.is_away = False
    with start() as server, server.signed_in() as client:
        eventually(lambda: pager.changes() == ["firing"])
        drive(client, 200, drowsy=False)
        eventually(lambda: statuses(client) == ["resolved"])
        eventually(lambda: pager.changes() == ["firing", "resolved"])
        (told,) = pager.got[0]["alerts"]
        assert told["rule"] == "drivers sleep"
        assert told["value"] == 100
