"""The document against the application: every operation, every check of schemathesis, with requests
that nobody thought of.

The bound: what its coverage phase derives from the document (each parameter at its limits, beyond
them, absent, of another type; each method that is not there), and beside it two drawn requests for
each operation and two chains of linked ones. Always the same ones. A deeper run is

    SCHEMATHESIS_EXAMPLES=100 make test ARGS=tests/journeys/test_schemathesis.py

No operation and no check is left out. What is judged otherwise than by schemathesis stands in
`is_a_fault`, with its reason.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.run import TESTING_PHASES, PhaseName
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.python import asgi
from schemathesis.schemas import BaseSchema

from astralytiq.app import create_app
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import Tracker
from astralytiq.features.accounts import sessions
from tests.databases import Databases
from tests.factories import make_user
from tests.features.training.conftest import empty_mlflow, mlflow

__all__ = ["empty_mlflow", "mlflow"]  # fixtures

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
CONFIG: dict[str, Any] = {
    "seed": 1,
    "cache": {"enabled": False},
    "request-timeout": 120,  # Ten seconds, if nothing is said: too few for a busy machine.
    "generation": {
        "max-examples": EXAMPLES,
        "deterministic": True,
        "database": "none",
        # ignored_auth itself calls each operation without credentials, and with wrong ones.
        "with-security-parameters": False,
    },
    "checks": {
        "positive_data_acceptance": {
            # Its own and 412: an If-Match that was drawn names no version.
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
        },
        "negative_data_rejection": {
            # Its own and 413: a list that is too long can also be too large.
            "expected-statuses": [
                "400",
                "401",
                "403",
                "404",
                "405",
                "406",
                "409",
                "413",
                "415",
                "422",
                "428",
                "429",
                "5xx",
            ]
        },
    },
}
# Here a change may end the sign-in that it comes with, so that each has one of its own.
LAST_ACTS = ("/auth/", "/users", "/api-keys")
UNSTORABLE = "It holds a value that cannot be stored"


Case = schemathesis.Case[Any]


class Administrators:
    """Signs in one administrator for all requests, and one for each that may be their last."""

    resources: ClassVar[Resources]
    loop: ClassVar[asyncio.AbstractEventLoop]

    @classmethod
    async def open(cls, resources: Resources) -> None:
        cls.resources, cls.loop = resources, asyncio.get_running_loop()

    def get(self, case: Case, context: schemathesis.AuthContext) -> str:
        return asyncio.run_coroutine_threadsafe(self.sign_in(), self.loop).result()

    def set(self, case: Case, token: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {token}"

    async def sign_in(self) -> str:
        user, settings = await make_user(self.resources, Role.admin), self.resources.settings
        access = await self.resources.database.write(
            lambda session: sessions.begin(session, settings, user, sessions.Origin("tests"))
        )
        return access.access_token


def who_asks(case: Case, context: schemathesis.AuthContext) -> str:
    last = case.method != "GET" and any(part in case.operation.path for part in LAST_ACTS)
    return case.id if last else "everybody"


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    url = asyncio.run(databases.fresh())
    yield url
    asyncio.run(databases.drop(url))


@pytest.fixture
def schema(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, mlflow: Tracker
) -> Iterator[BaseSchema]:
    """The application runs in a thread of schemathesis, from its first request on."""
    mlflow.client()  # Its first import takes seconds.
    # The events of a run or a job that nobody works on would be streamed for minutes.
    monkeypatch.setattr("astralytiq.core.sse.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("astralytiq.core.sse.STREAM_SECONDS", 0.02)
    app = create_app(settings, setup=[Administrators.open])
    config = schemathesis.Config.from_dict(CONFIG)
    loaded = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    loaded.auth(cache_by_key=who_asks)(Administrators)
    loaded.hook("filter_failure")(is_a_fault)
    yield loaded
    asgi.shutdown_lifespans()


def is_a_fault(
    context: schemathesis.HookContext,
    failure: Failure,
    case: Case,
    response: schemathesis.Response,
) -> bool:
    """A valid body may ask for what cannot be done: a project that is not there, a name that is
    taken. Such a refusal names no field, or one that only a validator of ours can judge. A page
    for people tells either in words.
    """
    refused = isinstance(failure, RejectedPositiveData) and response.status_code in (400, 422)
    if not refused or response.headers["content-type"][0].startswith("text/html"):
        return not refused
    problem = response.json()
    if problem["detail"].startswith(UNSTORABLE):  # Then the document should have said so.
        return True
    return not all(is_beyond_a_schema(fault) for fault in problem.get("errors", ()))


def is_beyond_a_schema(fault: dict[str, Any]) -> bool:
    """No schema can keep a NUL out of the names in a free-form object, nor judge the JSON that a
    field of a form holds as text."""
    if fault["loc"][:2] == ["body", "signature"]:
        return True
    return fault["type"] == "value_error" or "NUL" in fault["msg"]


def faults_in(event: events.ScenarioFinished) -> Iterator[str]:
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if found := check.failure_info:
                answer = event.recorder.interactions[case_id].response
                shown = f"{answer.status_code} {answer.content[:500]!r}" if answer else "nothing"
                what = f"{event.phase.value}: {found.failure.title}: {found.failure.message}"
                yield f"{what}\n{found.code_sample}\n{shown}"


def test_every_operation_does_what_its_document_says(schema: BaseSchema) -> None:
    faults: list[str] = []
    tried: dict[PhaseName, set[str | None]] = {phase: set() for phase in TESTING_PHASES}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            faults.append(f"{event.label}: {event.info.title} {event.info.message}")
        elif isinstance(event, events.ScenarioFinished):
            faults += faults_in(event)
            if event.status is Status.SUCCESS:
                tried[event.phase].add(event.label)
    assert not faults, "\n\n".join(faults)
    paths = schema.raw_schema["paths"].items()
    everything = {f"{method.upper()} {path}" for path, methods in paths for method in methods}
    assert len(everything) > 90
    assert tried[PhaseName.COVERAGE] == tried[PhaseName.FUZZING] == everything
    assert tried[PhaseName.STATEFUL_TESTING]
