"""Runs the application for hypothesis: its state machines are not asynchronous, our doors are."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings

from astralytiq.app import create_app
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.databases import Databases
from tests.factories import make_client, signed_in

Result = TypeVar("Result")

# The same examples each time, and few: every step is a request to a real database.
BOUNDED = settings(
    max_examples=15,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    phases=(Phase.generate,),  # A failure is told as it was met: to shrink it takes minutes.
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Stage:
    """One application with its own database and its own event loop, for all examples of a test."""

    app: FastAPI
    runner: asyncio.Runner

    @property
    def resources(self) -> Resources:
        found: Resources = self.app.state.resources
        return found

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def visitor(self) -> httpx2.AsyncClient:
        return make_client(self.app)

    def person(self, role: Role) -> httpx2.AsyncClient:
        return self.do(signed_in(self.app, role))


@contextmanager
def staged(databases: Databases, home: Path, **more: Any) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        url = runner.run(databases.fresh())
        app = create_app(
            Settings(
                _env_file=None,
                astralytiq_home=home,
                database_url=url,
                environment="test",
                secret_key="a key for the tests, long enough to sign with",
                **more,
            )
        )
        life = app.router.lifespan_context(app)
        runner.run(life.__aenter__())
        try:
            yield Stage(app, runner)
        finally:
            runner.run(life.__aexit__(None, None, None))
            runner.run(databases.drop(url))
