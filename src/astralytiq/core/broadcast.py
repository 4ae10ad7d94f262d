"""Live messages between processes, through a sequenced outbox table.

`publish` adds a row to the caller's transaction, so a message exists exactly if its change does,
also when a worker process sends it. Each API process tails the table and hands messages to its
listeners: one bounded queue each. Once it is full, a newer message takes the place of an older one
of its topic, or of the oldest.

What this process commits is handed on at once; for what others commit we look ten times a second,
or fifty times while a person watches.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import (
    Base,
    BigId,
    Database,
    after_commit,
    before_commit,
    database_of,
    unbroken,
    utc_now,
)
from astralytiq.core.rows import to_json

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
# Between two looks at the table at least, so that a flow of commits costs 50 queries a second.
PAUSE_SECONDS = 0.02
OUTAGE_SECONDS = 2.0
PAGE = 500
KEPT = timedelta(hours=1)
PUBLISH_LOCK = 0x0B0A  # any number that nothing else locks
# Who reads which database's outbox in this process.
TAILING: "WeakKeyDictionary[Database, WeakSet[Broadcast]]" = WeakKeyDictionary()


class OutboxMessage(Base):
    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - a number is never used twice

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    topic: Mapped[str]
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)


@dataclass(frozen=True)
class Message:
    sequence: int
    topic: str
    payload: dict[str, Any]

    @cached_property
    def text(self) -> str:
        """The payload as JSON: written once, however many listen."""
        return to_json(self.payload)


class Backlog(asyncio.Queue[Message]):
    """What waits for one listener. `lost` counts the messages that gave way to newer ones."""

    def _init(self, maxsize: int) -> None:
        """What asyncio's queues leave to their subclasses: they keep what waits in `_queue`."""
        self._queue = self.waiting = deque[Message]()
        self.lost = 0

    def take_in(self, message: Message) -> None:
        if self.full():
            self.lost += 1
            self._make_room(message.topic)
        self.put_nowait(message)

    def _make_room(self, topic: str) -> None:
        for place, waiting in enumerate(self.waiting):
            if waiting.topic == topic:
                del self.waiting[place]
                return
        self.waiting.popleft()


def publish(session: AsyncSession, topic: str, payload: dict[str, Any]) -> None:
    """Send `payload` to whoever listens to `topic`, if and when the transaction commits."""
    waiting: list[dict[str, Any]] = session.info.setdefault("outbox", [])
    if not waiting:
        before_commit(session, lambda: store(session))
        database = database_of(session)
        after_commit(session, lambda: wake(database))
    waiting.append({"topic": topic, "payload": payload})


async def store(session: AsyncSession) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # Numbers must appear in the order of the commits, or a tailing reader would skip one.
        await session.execute(text(f"SELECT pg_advisory_xact_lock({PUBLISH_LOCK})"))
    await session.execute(insert(OutboxMessage), session.info.pop("outbox"))


def wake(database: Database) -> None:
    """There is something new in the outbox: said after the commit, in the event loop."""
    for live in TAILING.get(database, ()):
        live.awake.set()


class Broadcast:
    def __init__(self, database: Database, backlog: int = 100) -> None:
        self._database = database
        self._backlog = backlog
        self._listeners: dict[Backlog, tuple[str, ...]] = {}
        self._watched = 0
        self._last: int | None = None
        self.awake = asyncio.Event()
        TAILING.setdefault(database, WeakSet()).add(self)

    @property
    def last(self) -> int:
        """The number of the newest message that was handed on."""
        return self._last or 0

    @asynccontextmanager
    async def listen(self, *topics: str, watched: bool = False) -> AsyncIterator[Backlog]:
        """Messages whose topic equals, or begins with, one of `topics`.

        `watched` says that a person looks at them, who would see a tenth of a second.
        """
        queue = Backlog(self._backlog)
        if self._last is None:
            self._last = await unbroken(self._newest())
        self._listeners[queue] = topics
        self._watched += watched
        try:
            yield queue
        finally:
            del self._listeners[queue]
            self._watched -= watched
            if not self._listeners:
                self._last = None  # Nobody waits: the next listener starts at the end.

    async def tail(self) -> None:
        """Runs beside the API until it is cancelled."""
        while True:
            if self._listeners:
                # To its end, also when told to stop: a driver's thread that is left in the middle
                # of a read would answer to a loop that is closed by then.
                await unbroken(self._deliver_if_possible())
            await asyncio.sleep(PAUSE_SECONDS)
            if not self._watched:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS - PAUSE_SECONDS):
                        await self.awake.wait()
            self.awake.clear()

    async def _deliver_if_possible(self) -> None:
        try:
            await self.deliver()
        except (SQLAlchemyError, OSError) as error:  # It may be back at the next look.
            log.error("broadcasts cannot be read", extra={"error": str(error)})
            await asyncio.sleep(OUTAGE_SECONDS)

    async def deliver(self) -> None:
        query = (
            select(OutboxMessage)
            .where(OutboxMessage.id > (self._last or 0))
            .order_by(OutboxMessage.id)
            .limit(PAGE)
        )
        async with self._database.reading() as session:
            for row in await session.scalars(query):
                self._hand_out(Message(row.id, row.topic, row.payload))
                self._last = row.id

    async def _newest(self) -> int:
        async with self._database.reading() as session:
            return await session.scalar(select(func.max(OutboxMessage.id))) or 0

    def _hand_out(self, message: Message) -> None:
        for queue, topics in self._listeners.items():
            if message.topic.startswith(topics):
                queue.take_in(message)


Follower = Callable[[Broadcast], Awaitable[None]]


async def trim(session: AsyncSession) -> None:
    """Forget what every living reader has had time to read."""
    await session.execute(delete(OutboxMessage).where(OutboxMessage.created_at < utc_now() - KEPT))
