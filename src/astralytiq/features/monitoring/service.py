"""Is the house up, and can it work?"""

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import service as ingestion

BEGAN = time.monotonic()


@dataclass(frozen=True)
class Pulse:
    """Whether the database answers, and what the last ingestion run left."""

    connected: bool
    last_run: datetime | None
    etl_status: str


async def pulse(resources: Resources) -> Pulse:
    try:
        async with resources.database.reading() as session:
            return await last_run(session)
    except (SQLAlchemyError, OSError):
        return Pulse(connected=False, last_run=None, etl_status="unknown")


async def last_run(session: AsyncSession) -> Pulse:
    run = await ingestion.last_run(session)
    if run is None:
        return Pulse(connected=True, last_run=None, etl_status="unknown")
    return Pulse(connected=True, last_run=run.start_time, etl_status=run.status)


async def readiness(resources: Resources) -> dict[str, str]:
    """Each dependency: "ok", or what is wrong and what to do."""
    checks = {"database": "ok", "storage": "ok"}
    try:
        await resources.database.ping()
    except (SQLAlchemyError, OSError):
        checks["database"] = "does not answer: check DATABASE_URL and that the server runs"
    if not resources.storage.is_writable():
        checks["storage"] = "cannot be written: check STORAGE_URL, its rights and free space"
    return checks


def shown_mlflow_uri(settings: Settings) -> str:
    """Without credentials and folder: enough to tell stores apart, nothing to break in with."""
    scheme, _, rest = settings.mlflow_uri.partition("://")
    if scheme in ("http", "https"):
        return f"{scheme}://{rest.split('@')[-1].split('/')[0]}"
    return f"{scheme}:///{rest.split('@')[-1].rsplit('/', 1)[-1]}"


def uptime_seconds() -> float:
    return round(time.monotonic() - BEGAN, 1)
