"""Is the house up, and can it work?"""

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import __version__
from astralytiq.core.db import Database, utc_now
from astralytiq.core.metrics import QUANTILE_ERROR, WINDOWS, Slot, Snapshot, Tally
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import service as ingestion

from . import machine, tables
from .checks import DISABLED, HEALTHY, PATIENCE, UNHEALTHY, Checks, Finding
from .schemas import (
    DatabaseRead,
    DoorFigures,
    Figures,
    PerformanceRead,
    PoolRead,
    ProcessRead,
    SystemRead,
    SystemUse,
    TableRead,
    WindowRead,
)

BEGAN = time.monotonic()
STARTED = utc_now()
SINCE_START = "start"
NO_REDIS = Finding(DISABLED, None, "sessions, limits and messages are kept by this process")


@dataclass(frozen=True)
class Pulse:
    """Whether the database answers, and what the last ingestion run left."""

    connected: bool
    last_run: datetime | None
    etl_status: str


async def pulse(resources: Resources) -> Pulse:
    try:
        async with asyncio.timeout(PATIENCE), resources.database.reading() as session:
            return await last_run(session)
    except (SQLAlchemyError, OSError):  # TimeoutError is one of the latter.
        return Pulse(connected=False, last_run=None, etl_status="unknown")


async def last_run(session: AsyncSession) -> Pulse:
    run = await ingestion.last_run(session)
    if run is None:
        return Pulse(connected=True, last_run=None, etl_status="unknown")
    return Pulse(connected=True, last_run=run.start_time, etl_status=run.status)


# Health -----------------------------------------------------------------------------------------


def checks_of(resources: Resources) -> Checks:
    return resources.own("checks", Checks)


async def readiness(resources: Resources, revision: str) -> dict[str, str]:
    """Each dependency: "ok", or what is wrong and what to do."""
    findings = await checks_of(resources).look("database", "storage")
    checks = {n: "ok" if f.status == HEALTHY else f.detail for n, f in findings.items()}
    if checks["database"] == "ok":
        checks["migrations"] = await migration_state(resources, revision)
    return checks


async def migration_state(resources: Resources, revision: str) -> str:
    """`revision` is the one that this version of the program needs."""
    try:
        async with resources.database.reading() as session:
            found = await current_revision(session)
    except (SQLAlchemyError, OSError):
        return "cannot be told: the database does not answer"
    if found == revision:
        return "ok"
    return f"at {found or 'none'}, {revision} is needed: run 'astralytiq migrate'"


async def current_revision(session: AsyncSession) -> str | None:
    connection = await session.connection()
    if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
        return None
    found: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return found


async def findings(resources: Resources) -> dict[str, Finding]:
    found = await checks_of(resources).findings()
    return {"database": found["database"], "redis": NO_REDIS, **found}


def overall(findings: dict[str, Finding]) -> str:
    """Without its database the house cannot work; without another part it can, but not well."""
    sick = {name for name, finding in findings.items() if finding.status == UNHEALTHY}
    if "database" in sick:
        return UNHEALTHY
    return "degraded" if sick else HEALTHY


# Requests ---------------------------------------------------------------------------------------


def performance(snapshot: Snapshot, in_progress: int, window: str | None) -> PerformanceRead:
    """Takes milliseconds where many doors are in use: not for the event loop."""
    slots = {name: snapshot.window(seconds) for name, seconds in WINDOWS.items()}
    slots[SINCE_START] = snapshot.total
    chosen = {name: slot for name, slot in slots.items() if window in (None, name)}
    return PerformanceRead(
        process=process(),
        timestamp=utc_now(),
        quantile_error=round(QUANTILE_ERROR, 4),
        in_progress=in_progress,
        windows=[window_read(name, slot) for name, slot in chosen.items()],
    )


def window_read(name: str, slot: Slot) -> WindowRead:
    every = Tally()
    for tally in slot.tallies.values():
        every.merge(tally)
    doors = [
        DoorFigures(method=method, path=path, **figures(tally))
        for (method, path), tally in slot.tallies.items()
    ]
    doors.sort(key=lambda door: -door.count * door.mean_ms)
    seconds = round(slot.ended - slot.began, 1)
    return WindowRead(
        name=name, seconds=seconds, overall=Figures(**figures(every)), endpoints=doors
    )


def figures(tally: Tally) -> dict[str, float]:
    return {
        "count": tally.count,
        "errors": tally.client_errors + tally.server_errors,
        "client_errors": tally.client_errors,
        "server_errors": tally.server_errors,
        "mean_ms": milliseconds(tally.mean),
        "p50_ms": milliseconds(tally.quantile(0.5)),
        "p95_ms": milliseconds(tally.quantile(0.95)),
        "p99_ms": milliseconds(tally.quantile(0.99)),
        "slowest_ms": milliseconds(tally.slowest),
    }


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


# This process, and what it stands on -------------------------------------------------------------


async def database_figures(session: AsyncSession, database: Database) -> DatabaseRead:
    took = await tables.latency(session)
    return DatabaseRead(
        backend="sqlite" if database.is_sqlite else "postgresql",
        timestamp=utc_now(),
        latency_ms=took.query_ms,
        connection_ms=took.connection_ms,
        size_bytes=await tables.size_bytes(session, database),
        pools={n: PoolRead.model_validate(p) for n, p in tables.pools(database).items()},
        tables=[TableRead.model_validate(t) for t in await tables.sizes(session, database)],
    )


def system(settings: Settings) -> SystemRead:
    """Asks the operating system for some files: not for the event loop."""
    use = machine.described(settings.home)
    return SystemRead(
        version=__version__,
        environment=settings.environment,
        timestamp=utc_now(),
        **{**use, "process": process().model_dump() | use["process"]},
    )


async def system_use(settings: Settings) -> SystemUse:
    """In percent; nothing of a disk that does not answer."""
    looking = asyncio.create_task(asyncio.to_thread(machine.usage, settings.home))
    await asyncio.wait([looking], timeout=PATIENCE)
    if looking.done():
        return SystemUse.model_validate(looking.result())
    return SystemUse(cpu=None, memory=None, disk=None)


def process() -> ProcessRead:
    return ProcessRead(pid=os.getpid(), started_at=STARTED, uptime_seconds=uptime_seconds())


def uptime_seconds() -> float:
    return round(time.monotonic() - BEGAN, 1)


def shown_mlflow_uri(settings: Settings) -> str:
    """Without credentials and folder: enough to tell stores apart, nothing to break in with."""
    scheme, _, rest = settings.mlflow_uri.partition("://")
    if scheme in ("http", "https"):
        return f"{scheme}://{rest.split('@')[-1].split('/')[0]}"
    return f"{scheme}:///{rest.split('@')[-1].rsplit('/', 1)[-1]}"
