"""What the rooms offer as figures: measured every few seconds, however often it is scraped."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import offers
from astralytiq.core.offers import Values
from astralytiq.core.resources import Resources

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
PATIENCE = 5.0


@dataclass(frozen=True)
class Measured:
    """`connected` is whether the database answered; figures that failed are missing."""

    connected: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    breakdowns: dict[str, Values] = field(default_factory=dict)


class Gauges:
    """The figures of one process: those who ask at once wait for the same queries."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._measured, self._at = Measured(), float("-inf")
        self._measuring: asyncio.Task[Measured] | None = None

    async def read(self) -> Measured:
        """At most five seconds old; without figures if the database takes longer than that."""
        if time.monotonic() - self._at < FRESH_SECONDS:
            return self._measured
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.create_task(self._measure())
        await asyncio.wait([self._measuring], timeout=PATIENCE)
        return self._measuring.result() if self._measuring.done() else Measured()

    async def _measure(self) -> Measured:
        try:
            async with self._database.reading() as session:
                self._measured = await measure(session)
        except (SQLAlchemyError, OSError) as fault:
            log.warning("figures cannot be measured", extra={"error": type(fault).__name__})
            self._measured = Measured()
        self._at = time.monotonic()
        return self._measured

    async def close(self) -> None:
        if self._measuring and not self._measuring.done():
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)


async def measure(session: AsyncSession) -> Measured:
    await session.connection()  # If there is none, no figure can be told.
    figures, breakdowns = {}, {}
    for name, figure in offers.FIGURES.items():
        value = await attempted(session, name, figure.measure)
        if value is not None:
            figures[name] = float(value)
    for name, one in offers.BREAKDOWNS.items():
        breakdowns[name] = await attempted(session, name, one.read) or {}
    return Measured(True, figures, breakdowns)


async def attempted(
    session: AsyncSession, name: str, query: Callable[[AsyncSession], Awaitable[Any]]
) -> Any:
    """One room's fault costs its own figure alone."""
    try:
        return await query(session)
    except Exception as fault:
        log.warning("a figure failed", extra={"figure": name, "error": type(fault).__name__})
        await session.rollback()
        return None
