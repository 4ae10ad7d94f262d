"""The API inside a command's own process: no server needed, the same doors, the same rules."""

import asyncio
import getpass
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

import httpx2

from astralytiq import home
from astralytiq.app import create_app
from astralytiq.client import Client, ClientError
from astralytiq.core import executor, jobs
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import first_accounts, signing_in

Result = TypeVar("Result")


@contextmanager
def opened(settings: Settings) -> Iterator[Client]:
    """A client of the local home, as a named local administrator.

    Jobs run in this process too, unless a server on the same home is there to run them.
    """
    try:
        home.prepare(settings)
    except home.HomeError as error:
        raise ClientError(str(error)) from None
    own_jobs = not home.is_served(settings)
    with Background() as background:
        app = create_app(
            settings.model_copy(update={"allowed_hosts": ()}),  # Nobody reaches it by a name.
            setup=[migrate_and_admit],
            companions=[run_jobs] if own_jobs else [],
        )
        with home_words(settings):
            background.enter(app.router.lifespan_context(app))
        token = background.run(signing_in.local_token(app.state.resources, getpass.getuser()))
        transport = LocalTransport(httpx2.ASGITransport(app), background)
        with Client("http://localhost", token, transport=transport) as client:
            yield client


async def migrate_and_admit(resources: Resources) -> None:
    await home.migrate(resources)
    await home.refuse_other_storage(resources)
    first = await first_accounts.ensure_admin(resources)
    if first and first.password:
        sys.stderr.write(f"The first admin is {first.email} with {first.password} (shown once)\n")
        first_accounts.forget_first_password(resources.settings)


@contextmanager
def home_words(settings: Settings) -> Iterator[None]:
    try:
        with home.worded(settings):
            yield
    except home.HomeError as error:
        raise ClientError(str(error)) from None


async def run_jobs(resources: Resources) -> None:
    """Until the command ends; a job that is not done then is handed back."""
    instance = home.instance(resources.settings)
    # No server runs here: what a killed server or command of this home held is free.
    await resources.database.write(lambda s: jobs.reap(s, owner_prefix=f"{instance}:"))
    stop = asyncio.Event()
    owner = f"{instance}:command-{os.getpid()}"
    life = asyncio.create_task(executor.run_forever(resources, owner, stop))
    try:
        await asyncio.shield(life)
    except asyncio.CancelledError:
        stop.set()
        await life
        raise


class Background:
    """An event loop in a thread, for synchronous callers."""

    def __enter__(self) -> "Background":
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="local", daemon=True)
        self.thread.start()
        self.stack = AsyncExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def enter(self, context: Any) -> Any:
        return self.run(self.stack.enter_async_context(context))


class LocalTransport(httpx2.BaseTransport):
    """Hands a synchronous client's requests to the application in the background loop."""

    def __init__(self, inner: httpx2.ASGITransport, background: Background) -> None:
        self.inner = inner
        self.background = background

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.background.run(self.answer(request, request.read()))

    async def answer(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        copy = httpx2.Request(request.method, request.url, headers=request.headers, content=body)
        response = await self.inner.handle_async_request(copy)
        content = await response.aread()
        return httpx2.Response(response.status_code, headers=response.headers, content=content)
