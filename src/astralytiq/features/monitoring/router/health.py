"""Doors that tell how the house is. They are open to all and say nothing secret."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from astralytiq import __version__
from astralytiq.core.db import utc_now
from astralytiq.core.web import House, room
from astralytiq.features.monitoring import service
from astralytiq.features.monitoring.checks import UNHEALTHY
from astralytiq.features.monitoring.schemas import (
    CheckRead,
    DetailedHealth,
    Health,
    Liveness,
    Readiness,
    ServiceCard,
)

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
        refuse_for_now(response)
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


@router.get("/detailed", responses={503: {"model": DetailedHealth}})
async def read_detailed_health(house: House, response: Response) -> DetailedHealth:
    """Every dependency is looked at, for two seconds at most; findings are a second old at most."""
    findings = await service.findings(house)
    status = service.overall(findings)
    if status == UNHEALTHY:
        refuse_for_now(response)
    return DetailedHealth(
        status=status,
        version=__version__,
        timestamp=utc_now(),
        components={name: finding.status for name, finding in findings.items()},
        checks={name: CheckRead.model_validate(one) for name, one in findings.items()},
        system=await service.system_use(house.settings),
    )


@router.get("/live")
async def read_liveness() -> Liveness:
    """The process is up; nothing else is asked."""
    return Liveness(status="alive")


@router.get("/ready", responses={503: {"model": Readiness}})
async def read_readiness(request: Request, house: House, response: Response) -> Readiness:
    """Migrations are done, dependencies answer, and we are not shutting down."""
    checks = await service.readiness(house, request.app.state.revision)
    if getattr(request.app.state, "stopping", False):
        checks["server"] = "is shutting down"
    ready = all(state == "ok" for state in checks.values())
    if not ready:
        refuse_for_now(response)
    return Readiness(status="ready" if ready else "not ready", checks=checks)


def refuse_for_now(response: Response) -> None:
    response.status_code = 503
    response.headers["Retry-After"] = "5"
