"""HTTP doors that tell how the house is. They are open to all and say nothing secret."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from astralytiq import __version__
from astralytiq.core.db import utc_now
from astralytiq.core.web import House, room

from . import service
from .schemas import Health, Liveness, Readiness, ServiceCard

router = room("/health", "monitoring")
welcome = room("", "monitoring")

ENDPOINTS = {
    "api": "/api/v1",
    "health": "/health",
    "data": "/data",
    "stats": "/stats",
    "openapi": "/openapi.json",
}


LEAD: dict[int | str, dict[str, Any]] = {307: {"description": "A browser is led to /docs"}}


@welcome.get("/", response_model=ServiceCard, responses=LEAD)
async def read_root(request: Request) -> ServiceCard | Response:
    """A card for programs; people in a browser are led to the documentation."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/docs", status_code=307)
    return ServiceCard(
        message="AstralytiQ: ingest, version, train, serve and watch.",
        service="astralytiq",
        version=__version__,
        status="running",
        timestamp=utc_now(),
        documentation="/docs",
        endpoints=ENDPOINTS,
    )


@router.get("", responses={503: {"model": Health}})
async def read_health(house: House, response: Response) -> Health:
    pulse = await service.pulse(house)
    if not pulse.connected:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return Health(
        status="healthy" if pulse.connected else "unhealthy",
        service="astralytiq",
        version=__version__,
        environment=house.settings.environment,
        timestamp=utc_now(),
        uptime_seconds=service.uptime_seconds(),
        db_connected=pulse.connected,
        redis_connection="disabled",
        etl_last_run=pulse.last_run,
        etl_status=pulse.etl_status,
        mlflow_uri=service.shown_mlflow_uri(house.settings),
    )


@router.get("/live")
async def read_liveness() -> Liveness:
    """The process is up; nothing else is asked."""
    return Liveness(status="alive")


@router.get("/ready", responses={503: {"model": Readiness}})
async def read_readiness(request: Request, house: House, response: Response) -> Readiness:
    """Migrations are done, dependencies answer, and we are not shutting down."""
    checks = await service.readiness(house)
    if getattr(request.app.state, "stopping", False):
        checks["server"] = "is shutting down"
    ready = all(state == "ok" for state in checks.values())
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return Readiness(status="ready" if ready else "not ready", checks=checks)
