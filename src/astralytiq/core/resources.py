"""What a process of ours holds while it lives: settings, database, storage, counts of requests."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from astralytiq.core.db import Database
from astralytiq.core.limits import Limits
from astralytiq.core.settings import Settings
from astralytiq.core.storage import Storage


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
        await self.database.close()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Resources]:
    database = Database(settings.database)
    resources = Resources(settings, database, Storage(settings.storage), Limits(settings.budgets))
    try:
        yield resources
    finally:
        await resources.close()
