"""The whole application, for requests that we send to ourselves: nothing that they do stays.

What they write is rolled back, they use up no budget, failed sign-ins are counted apart from those
of people, and they stand in no log of requests and in no figure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Receive, Scope, Send

from astralytiq.core.db import Database
from astralytiq.core.limits import Limits
from astralytiq.core.metrics import Door
from astralytiq.core.middleware import SELF_TEST, door_of
from astralytiq.core.resources import Resources
from astralytiq.features.accounts.throttle import Throttle

PATIENCE = 5.0  # seconds for one answer


class RolledBack(Database):
    """The same database, but of what is written nothing stays."""

    def __init__(self, real: Database) -> None:
        vars(self).update(vars(real))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._write_sessions() as session:
            try:
                yield session
                await session.flush()  # What a constraint refuses is refused here too.
            finally:
                await session.rollback()


class Instead:
    """`real`, with other values for some of its attributes."""

    def __init__(self, real: Any, **values: Any) -> None:
        vars(self).update(values)
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@dataclass(frozen=True)
class Answered:
    """What came of a request: no status if nothing came in time."""

    status: int | None
    seconds: float
    door: Door | None
    response: httpx2.Response | None = None


class Rehearsal:
    """Asks `app` as a client at `address` would; `state` is what is known of the one who asks."""

    def __init__(
        self, app: Any, base_url: str, *, address: str = "self-test", **state: Any
    ) -> None:
        resources: Resources = app.state.resources
        limits = Limits()
        own = replace(resources, database=RolledBack(resources.database), limits=limits)
        self._stack: ASGIApp = app.middleware_stack
        self._app = Instead(app, state=Instead(app.state, resources=own, throttle=Throttle(limits)))
        self._state = {SELF_TEST: True, **state}
        self._scope: Scope = {}
        transport = httpx2.ASGITransport(self._enter, raise_app_exceptions=False,
                                         client=(address, 0))  # fmt: skip
        self._client = httpx2.AsyncClient(transport=transport, base_url=base_url)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the application itself would begin, which would name itself in the scope."""
        self._scope = {**scope, "app": self._app, "state": dict(self._state)}
        await self._stack(self._scope, receive, send)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answered:
        self._scope, began = {}, time.perf_counter()
        sent = {"Accept": "application/json", **(headers or {})}
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self._client.request(method, path, headers=sent, json=body)
        except (TimeoutError, httpx2.HTTPError):
            return Answered(None, time.perf_counter() - began, None)
        took = time.perf_counter() - began
        return Answered(response.status_code, took, door_of(self._scope), response)

    async def close(self) -> None:
        await self._client.aclose()
