"""What extraction hands on, whatever the kind of the source."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from astralytiq.engines.etl.payloads import Payloads

Position = dict[str, Any]
Found = TypeVar("Found")

PATIENCE = 0.5  # seconds: a slow source's batch does not wait for the next before it is stored


@dataclass(frozen=True)
class Batch:
    """Payloads as they came, where reading goes on after them, and how far that is (0 to 1)."""

    payloads: Sequence[Any]
    position: Position
    progress: float

    def followed_by(self, other: "Batch") -> "Batch":
        return Batch(joined(self.payloads, other.payloads), other.position, other.progress)


def joined(first: Sequence[Any], second: Sequence[Any]) -> Sequence[Any]:
    if isinstance(first, Payloads) and isinstance(second, Payloads):
        return first + second
    return [*first, *second]


async def gathered(found: AsyncGenerator[Batch], size: int) -> AsyncGenerator[Batch]:
    """Small batches that come quickly as one of up to `size` payloads: each costs a transaction.

    What has come is handed on before a fault behind it is raised.
    """
    clock = asyncio.get_running_loop().time
    held: Batch | None = None
    coming: asyncio.Future[Batch | None] | None = None
    due = 0.0
    try:
        while True:
            if held and len(held.payloads) >= size:
                yield held
                held = None
            coming = coming or asyncio.ensure_future(next_of(found))
            await asyncio.wait([coming], timeout=max(0.0, due - clock()) if held else None)
            if held and not fits(held, coming, size):
                yield held
                held = None
                continue
            batch, coming = await coming, None
            if batch is None:
                return
            due = due if held else clock() + PATIENCE
            held = held.followed_by(batch) if held else batch
    finally:
        if coming:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await found.aclose()


async def ahead(found: AsyncGenerator[Found]) -> AsyncGenerator[Found]:
    """The same, but the next is being made while the one before it is used."""
    coming = asyncio.ensure_future(next_of(found))
    try:
        while (one := await coming) is not None:
            coming = asyncio.ensure_future(next_of(found))
            yield one
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await found.aclose()


async def next_of(found: AsyncGenerator[Found]) -> Found | None:
    return await anext(found, None)


def fits(held: Batch, coming: "asyncio.Future[Batch | None]", size: int) -> bool:
    """Whether what comes next is there, and small enough to go with what is held."""
    if not coming.done() or coming.cancelled() or coming.exception():
        return False
    following = coming.result()
    return following is not None and len(held.payloads) + len(following.payloads) <= size
