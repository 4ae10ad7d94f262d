"""Doors to what was measured, and to the tests that the house makes of itself."""

import asyncio
import secrets
from typing import Annotated, Any, Literal

from fastapi import Query, Request

from astralytiq.core.metrics import Performance
from astralytiq.core.security import Actor, Role, scopes_of
from astralytiq.core.web import House, Session, charged_to, needs, room
from astralytiq.features.monitoring import selftest, service
from astralytiq.features.monitoring.rehearsal import Rehearsal
from astralytiq.features.monitoring.schemas import (
    DatabaseRead,
    PerformanceRead,
    SelfTestRead,
    SystemRead,
)

monitoring = room("/monitoring", "monitoring")

MetricsReader = Annotated[Actor, needs("metrics:read")]
SystemReader = Annotated[Actor, needs("system:read")]
Window = Annotated[
    Literal["1m", "5m", "15m", "60m", "start"] | None,
    Query(description="this window alone, instead of all"),
]


@monitoring.get("/metrics/performance")
async def read_performance(
    request: Request, actor: MetricsReader, window: Window = None
) -> PerformanceRead:
    """Requests by door, as this process has measured them."""
    measured: Performance = request.app.state.performance
    snapshot, open_ = measured.snapshot(), measured.in_progress
    return await asyncio.to_thread(service.performance, snapshot, open_, window)


@monitoring.get("/metrics/database")
async def read_database(house: House, session: Session, actor: SystemReader) -> DatabaseRead:
    """Latency, pools, size and rows; no table is read through for it."""
    return await service.database_figures(session, house.database)


@monitoring.get("/system/info")
async def read_system(house: House, actor: SystemReader) -> SystemRead:
    return await asyncio.to_thread(service.system, house.settings)


@monitoring.get("/validate/endpoints")
@charged_to("expensive")
async def validate_endpoints(request: Request, actor: SystemReader) -> SelfTestRead:
    """Ask every door that only reads, inside this process; nothing that comes of it stays."""
    document = await asyncio.to_thread(request.app.openapi)
    known = request.scope["state"]
    tester = Actor(actor.id, actor.name, scopes_of(Role.admin), Role.admin, "local:self-test")
    asked_by = {name: known[name] for name in ("verified", "session_id") if name in known}
    rehearsal = Rehearsal(request.app, base_url(request), actor=tester, **asked_by)
    try:
        return await selftest.endpoints(rehearsal, document)
    finally:
        await rehearsal.close()


@monitoring.get("/validate/authentication")
@charged_to("expensive")
async def validate_authentication(
    request: Request, house: House, actor: SystemReader
) -> SelfTestRead:
    """Try to come in with what must not open, and with what must; nobody is throttled for it."""
    document: dict[str, Any] = await asyncio.to_thread(request.app.openapi)
    rehearsal = Rehearsal(request.app, base_url(request), address=nowhere())
    try:
        return await selftest.authentication(rehearsal, house.settings, actor, document)
    finally:
        await rehearsal.close()


def base_url(request: Request) -> str:
    """By the name that this request came to: it is one that we go by."""
    return f"{request.url.scheme}://{request.url.netloc}"


def nowhere() -> str:
    """An address of the block for documentation (RFC 3849): nobody's."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
