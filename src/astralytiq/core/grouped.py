"""Group commit: what many requests want to store goes into one transaction.

A commit costs a write to disk whatever is in it. So those who come while one is under way are
stored together by the next: each waits for at most two commits, and knows then that its item is
durable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, takewhile
from typing import Generic, TypeVar

from sqlalchemy.exc import IntegrityError

from astralytiq.core.errors import AppError

Item = TypeVar("Item")
Store = Callable[[Sequence[Item]], Awaitable[None]]

MOST = 1_000
End = asyncio.Future[None]


class Grouped(Generic[Item]):
    """Stores items of many callers, together, in the order in which they came.

    `store` puts some into one transaction, and all of them or none. A group weighs `most` at most,
    where each item weighs one unless `weigh` knows better; a heavier item is a group of its own.
    """

    def __init__(
        self, store: Store[Item], most: int = MOST, weigh: Callable[[Item], int] = lambda _: 1
    ) -> None:
        self._store = store
        self._most = most
        self._weigh = weigh
        self._waiting: list[tuple[Item, End]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> None:
        """Returns when the item is durable; raises what keeps it, and only it, from being stored.

        Whoever is cancelled meanwhile takes nothing back: the item is stored all the same.
        """
        end: End = asyncio.get_running_loop().create_future()
        self._waiting.append((item, end))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await end

    async def close(self) -> None:
        """Let those who still wait be stored."""
        if self._writing:
            await self._writing

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                fit = self._how_many_fit()
                group, self._waiting = self._waiting[:fit], self._waiting[fit:]
                await self._write(group)
        except BaseException:  # Stopped in the middle: nobody is left to tell those who wait.
            for _, end in self._waiting:
                end.cancel()
            self._waiting = []
            raise
        finally:
            self._writing = None

    def _how_many_fit(self) -> int:
        weights = accumulate(self._weigh(item) for item, _ in self._waiting)
        return max(1, sum(1 for _ in takewhile(lambda weight: weight <= self._most, weights)))

    async def _write(self, group: list[tuple[Item, End]]) -> None:
        try:
            failure = await self._failure_of([item for item, _ in group])
        except BaseException:
            for _, end in group:
                end.cancel()
            raise
        if isinstance(failure, IntegrityError | AppError) and len(group) > 1:
            for one in group:  # One of them is refused: it must not cost the others.
                await self._write([one])
            return
        for _, end in group:
            tell(end, failure)

    async def _failure_of(self, items: Sequence[Item]) -> Exception | None:
        try:
            await self._store(items)
        except Exception as failure:  # Whoever waits for it raises it.
            return failure
        return None


def tell(end: End, failure: Exception | None) -> None:
    if end.done():  # Its caller was cancelled.
        return
    if failure is None:
        end.set_result(None)
    else:
        end.set_exception(failure)
