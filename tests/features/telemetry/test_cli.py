"""The commands of telemetry say what the API says, and ask before they delete."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from astralytiq.client import ClientError
from astralytiq.features.datasets.cli import app as dataset
from astralytiq.features.telemetry.cli import app as telemetry
from astralytiq.terminal import BAD_INPUT, FAILURE, Connection

EVENT = {
    "timestamp": "2026-01-31T12:00:00Z",
    "device_id": "cab-7",
    "ear_value": 0.2,
    "is_drowsy": True,
    "duration_ms": 2500.0,
    "severity": "medium",
}


class Api:
    """Answers from a list of what is there, and notes what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def _answer(self, method: str, path: str) -> Any:
        self.asked.append((method, path))
        found = self.answers.get(path, [])
        if isinstance(found, Exception):
            raise found
        return found

    def get(self, path: str, **_: Any) -> Any:
        return self._answer("GET", path)

    def patch(self, path: str, **_: Any) -> Any:
        return self._answer("PATCH", path)

    def delete(self, path: str, **_: Any) -> Any:
        return self._answer("DELETE", path)

    def wait(self, job_id: str, watch: Any) -> dict[str, Any]:
        watch({"progress": 1.0, "phase": "deleting", "message": "", "status": "succeeded"})
        return {"result": {"deleted": 12}}


def run(command: typer.Typer, api: Api, *arguments: str, answer: str | None = None) -> Result:
    @contextmanager
    def opened() -> Iterator[Any]:
        yield api

    return CliRunner().invoke(command, list(arguments), obj=Connection(opened), input=answer)


def test_the_newest_event_stands_last() -> None:
    events = [EVENT | {"event_id": "second"}, EVENT | {"event_id": "first"}]
    api = Api({"/events/recent": {"events": events}})
    shown = run(telemetry, api, "tail").stdout
    assert shown.index("first") < shown.index("second")
    as_json = json.loads(run(telemetry, api, "tail", "--json").stdout)
    assert [event["event_id"] for event in as_json] == ["first", "second"]


def test_a_device_is_named_by_what_it_calls_itself() -> None:
    api = Api({"/devices": [{"id": 3}], "/devices/3": {"id": 3, "name": "Cab 7"}})
    done = run(telemetry, api, "rename", "cab-7", "Cab 7")
    assert done.exit_code == 0
    assert ("PATCH", "/devices/3") in api.asked
    assert "Cab 7" in done.stdout


def test_a_device_that_nobody_knows_is_bad_input() -> None:
    done = run(telemetry, Api({}), "rename", "nobody", "x")
    assert done.exit_code == BAD_INPUT
    assert "No device calls itself 'nobody'" in done.stderr


def test_a_device_is_forgotten_when_that_is_meant() -> None:
    api = Api({"/devices": [{"id": 3}], "/devices/3": {"job_id": "j"}})
    assert run(telemetry, api, "forget", "cab-7", answer="n\n").exit_code == FAILURE
    assert api.asked == []
    done = run(telemetry, api, "forget", "cab-7", "--yes")
    assert "deleted cab-7 and 12 events" in done.stdout


@pytest.mark.parametrize(
    ("status", "code"), [(422, BAD_INPUT), (403, BAD_INPUT), (503, FAILURE), (None, FAILURE)]
)
def test_a_refusal_is_a_line_and_a_code(status: int | None, code: int) -> None:
    api = Api({"/statistics": ClientError("write a time\nas RFC 3339 has it", status)})
    done = run(telemetry, api, "stats", "--since", "yesterday")
    assert done.exit_code == code
    assert done.stderr == "astralytiq: write a time as RFC 3339 has it\n"


def test_filters_of_events_freeze_nothing_else() -> None:
    done = run(dataset, Api({}), "freeze", "drives", "--device", "cab-7", "--source", "shop")
    assert done.exit_code == BAD_INPUT
    assert "add --telemetry" in done.stderr
    both = run(dataset, Api({}), "freeze", "drives", "--telemetry", "--source", "shop")
    assert both.exit_code == BAD_INPUT
    assert "Give one of" in both.stderr
