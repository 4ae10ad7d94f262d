"""The web application: opens the house, mounts its rooms, words its refusals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from astralytiq import __version__, wiring
from astralytiq.core import middleware, problems
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings

Step = Callable[[Resources], Awaitable[None]]


def create_app(
    settings: Settings, *, setup: Sequence[Step] = (), companions: Sequence[Step] = ()
) -> FastAPI:
    """`setup` runs to its end before the first request; `companions` run beside the application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings) as resources, AsyncExitStack() as stack:
            app.state.resources = resources
            app.state.broadcast = Broadcast(resources.database)
            for step in setup:
                await step(resources)
            stack.push_async_callback(stop_all, beside(app, resources, companions))
            yield

    app = FastAPI(
        title="AstralytiQ",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url="/openapi.json",
    )
    app.state.authenticate = wiring.authenticate()
    for router in wiring.routers():
        app.include_router(router, prefix="/api/v1")
    for router in wiring.root_routers():
        app.include_router(router)
    problems.install(app)
    add_middleware(app, settings)
    return app


def beside(
    app: FastAPI, resources: Resources, companions: Sequence[Step]
) -> list[asyncio.Future[None]]:
    work = [app.state.broadcast.tail(), *(companion(resources) for companion in companions)]
    return [asyncio.ensure_future(one) for one in work]


async def stop_all(tasks: list[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task


def add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the outermost."""
    app.add_middleware(middleware.Unbroken)
    app.add_middleware(
        middleware.BodyLimit,
        megabytes=settings.body_limit_mb,
        upload_megabytes=settings.upload_limit_mb,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
        )
    if settings.allowed_hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))
    app.add_middleware(middleware.RequestContext, slow_seconds=settings.slow_request_seconds)
