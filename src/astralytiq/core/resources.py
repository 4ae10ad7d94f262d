"""What a process of ours holds while it lives: settings, database, storage, counts of requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from astralytiq.core import tracing
from astralytiq.core.db import Database
from astralytiq.core.limits import Limits
from astralytiq.core.settings import Settings
from astralytiq.core.storage import FolderStorage, Storage


class Closing(Protocol):
    async def close(self) -> None: ...


Own = TypeVar("Own", bound=Closing)


@dataclass(frozen=True)
class Resources:
    settings: Settings
    database: Database
    storage: Storage
    limits: Limits = field(default_factory=Limits)
    owned: dict[str, Any] = field(default_factory=dict)

    def own(self, name: str, make: "Callable[[Resources], Own]") -> Own:
        """What a room holds for the life of the process: made at its first use, closed with us."""
        if name not in self.owned:
            self.owned[name] = make(self)
        found: Own = self.owned[name]
        return found

    async def close(self) -> None:
        for one in self.owned.values():
            await one.close()
        self.storage.close()  # Here: threads may all be waiting for it.
        await self.database.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Resources]:
    tracing.PROCESS.begin(settings)
    database = Database(settings.database)
    resources = Resources(settings, database, storage_of(settings), Limits(settings.budgets))
    try:
        yield resources
    finally:
        await resources.close()
        await asyncio.to_thread(tracing.PROCESS.end)


def storage_of(settings: Settings) -> Storage:
    """By STORAGE_URL; nothing is connected yet."""
    if settings.storage_folder:
        return FolderStorage(settings.storage_folder)
    from astralytiq.core.object_storage import ObjectStorage  # noqa: PLC0415 - few need it

    return ObjectStorage(settings)
