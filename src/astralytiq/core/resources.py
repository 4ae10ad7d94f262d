"""What a process of ours holds while it lives: settings, database, storage, counts of requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from astralytiq.core.db import Database
from astralytiq.core.limits import Limits
from astralytiq.core.settings import Settings
from astralytiq.core.storage import Storage


@dataclass(frozen=True)
class Resources:
    settings: Settings
    database: Database
    storage: Storage
    limits: Limits = field(default_factory=Limits)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Resources]:
    database = Database(settings.database)
    try:
        yield Resources(settings, database, Storage(settings.storage), Limits(settings.budgets))
    finally:
        await database.close()
