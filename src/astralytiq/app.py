"""The web application: opens the house, mounts its rooms, words its refusals."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route

from astralytiq import __version__, migrations, wiring
from astralytiq.core import middleware, openapi, pages, problems, tracing
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.heads import HeadAsGet
from astralytiq.core.metrics import Performance
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings
from astralytiq.core.web import API

log = logging.getLogger(__name__)

# Headers that pages of other origins may read.
EXPOSED = (
    "ETag", "Link", "Location", "Retry-After", "X-Process-Time", "X-Request-ID", "X-Total-Count",
    "RateLimit-Limit", "RateLimit-Policy", "RateLimit-Remaining", "RateLimit-Reset",
)  # fmt: skip

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
            try:
                for step in setup:
                    await step(resources)
            except Exception as fault:
                app.state.fault = fault  # The server words it for the person at the terminal.
                raise
            stack.push_async_callback(stop_all, beside(app, resources, companions))
            yield

    app = FastAPI(
        title="AstralytiQ",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url="/openapi.json",
        docs_url=None,  # pages.py has both pages.
        redoc_url=None,
        telemetry=telemetry(settings),
    )
    app.state.performance = Performance()
    app.state.revision = migrations.head()
    app.state.authenticate = wiring.authenticate()
    wiring.load_jobs()  # Their endings: a job may be cancelled or given up here.
    openapi.install(app)
    app.add_route(f"{API}/openapi.json", openapi.answer, include_in_schema=False)
    pages.install(app)
    app.router.routes.extend(doors())
    # FastAPI asks each in turn: the pages of documentation, which few read, come last.
    app.router.routes.sort(key=lambda route: isinstance(route, Route))
    problems.install(app)
    add_middleware(app, settings)
    return app


@cache
def doors() -> tuple[BaseRoute, ...]:
    """Made once: FastAPI reads the signatures of all handlers anew for each place it has them at,
    half of the time of a test that makes an application of its own."""
    house = APIRouter()
    for router in wiring.first_routers():
        house.include_router(router)
    for router in wiring.routers():
        house.include_router(router, prefix=API)
    for router in wiring.root_routers():
        house.include_router(router)
    return (*house.routes, *wiring.mounts())


def telemetry(settings: Settings) -> TelemetryConfig:
    """Requests are traced if we trace at all, and measured by our own middleware."""
    provider = tracing.PROCESS.prepare(settings)
    return {
        "tracing": provider is not None,
        "tracer_provider": provider,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }


def beside(
    app: FastAPI, resources: Resources, companions: Sequence[Step]
) -> list[asyncio.Future[None]]:
    live: Broadcast = app.state.broadcast
    work = [live.tail(), *(follow(live) for follow in wiring.followers())]
    work += [own(resources, app.state.performance) for own in wiring.companions()]
    work += [companion(resources) for companion in companions]
    app.state.companions = [asyncio.ensure_future(one) for one in work]
    return list(app.state.companions)


async def stop_all(tasks: list[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    for end in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(end, Exception):
            log.error("a companion had ended", exc_info=end)


def add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the outermost."""
    app.add_middleware(middleware.Unbroken)
    app.add_middleware(
        middleware.BodyLimit,
        megabytes=settings.body_limit_mb,
        upload_megabytes=settings.upload_limit_mb,
        upload_paths=wiring.upload_paths(),
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials=True,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    if settings.allowed_hosts:
        app.add_middleware(middleware.KnownHost, hosts=settings.allowed_hosts)
    app.add_middleware(
        middleware.RequestContext,
        slow_seconds=settings.slow_request_seconds,
        performance=app.state.performance,
    )
    app.add_middleware(HeadAsGet)
