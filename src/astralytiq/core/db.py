"""Tables' base classes, and the one place where a transaction begins and ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Enum,
    Integer,
    MetaData,
    TypeDecorator,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from uuid6 import uuid7

from astralytiq.core.errors import AppError
from astralytiq.core.rows import to_json

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Hook = Callable[[], Awaitable[None]]

BUSY_MILLISECONDS = 10_000
POOL_SIZE = 10
# Batches of thousands of rows touch pages all over the indexes: 16 MB of them stay at hand, and the
# log is copied back every 40 MB, not every 4 (SQLite's own figures: 2 MB and 1,000 pages).
WRITER_PRAGMAS = ("cache_size=-16384", "wal_autocheckpoint=10000")


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """A time-ordered UUIDv7: rows in the order of their making, and no index page touched twice."""
    return str(uuid7())


JSON_CODEC: dict[str, Any] = {"json_serializer": to_json, "json_deserializer": msgspec.json.decode}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on every database; SQLite alone would drop the time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


# SQLite numbers rows by itself only in a column that is exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def values_of(enumeration: type[StrEnum]) -> list[str]:
    return [member.value for member in enumeration]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        list[Any]: Json,
        # Plain text: a new value of an enumeration needs no migration.
        StrEnum: Enum(StrEnum, native_enum=False, length=32, values_callable=values_of),
    }


def time_of_making(context: Any) -> datetime:
    """The same for both columns: nothing was changed before it was made."""
    found: datetime | None = context.get_current_parameters().get("updated_at")
    return found or utc_now()


class Entity(Base):
    """What every stored thing has."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=time_of_making)


class Versioned(Entity):
    """A thing that people edit: each change raises `version`, and a stale change is refused."""

    __abstract__ = True

    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
    version: Mapped[int] = mapped_column(Integer)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.version} if hasattr(cls, "__table__") else {}


async def unbroken(work: Coroutine[Any, Any, Result]) -> Result:
    """Let `work` end before a cancellation takes effect.

    A write cut in the middle leaves aiosqlite's connection inside its transaction: a lasting
    "database is locked" in 2 of 5 tries; with the whole unit shielded, in none.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (failure := task.exception()):
            # Whoever asked has gone: without this look the event loop would report it as unheard.
            log.info("a unit failed whose caller had gone", extra={"error": type(failure).__name__})
        raise


class Database:
    """A write engine and a read engine on one database, SQLite or PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.writer, self.reader = self._sqlite() if self.is_sqlite else self._postgresql()
        self._write_sessions = async_sessionmaker(
            self.writer, expire_on_commit=False, info={"database": self}
        )
        self._read_sessions = async_sessionmaker(self.reader, expire_on_commit=False)

    def _sqlite(self) -> tuple[AsyncEngine, AsyncEngine]:
        # One write connection a process: waiting for it is fair, waiting on SQLite's lock is not.
        writer = create_async_engine(
            self.url, pool_size=1, max_overflow=0, pool_timeout=30, **JSON_CODEC
        )
        reader = create_async_engine(self.url, pool_size=POOL_SIZE, max_overflow=0, **JSON_CODEC)
        prepare(writer, "BEGIN IMMEDIATE", *WRITER_PRAGMAS)
        prepare(reader, "BEGIN", "query_only=ON")
        return writer, reader

    def _postgresql(self) -> tuple[AsyncEngine, AsyncEngine]:
        writer = create_async_engine(
            self.url, pool_size=POOL_SIZE, pool_pre_ping=True, **JSON_CODEC
        )
        return writer, writer.execution_options(postgresql_readonly=True)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """All of the work is stored, or none. Run it inside `unbroken` (requests already are)."""
        async with self._write_sessions() as session:
            try:
                yield session
            except AppError as refusal:
                if refusal.keep:
                    await commit(session)
                raise
            await commit(session)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A consistent view; what it tries to write is refused by the database."""
        async with self._read_sessions() as session:
            yield session

    async def write(self, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
        """One transaction as one unbroken unit: what jobs and services outside a request use."""

        async def unit() -> Result:
            async with self.transaction() as session:
                return await work(session)

        return await unbroken(unit())

    async def ping(self) -> None:
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.writer.dispose()
        await self.reader.dispose()


def async_url(url: str) -> URL:
    """`sqlite://`, `postgres://`, `postgresql://` and their asyncio forms all mean the same."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise ValueError(f"DATABASE_URL names {backend!r}; sqlite and postgresql are supported.")
    return parsed.set(drivername=drivers[backend])


def prepare(engine: AsyncEngine, begin: str, *pragmas: str) -> None:
    """Make SQLite behave like a server.

    The driver sends no BEGIN before a SELECT, so that a read followed by a write loses updates
    silently: we turn its transactions off and begin ourselves, the write lock first.
    """

    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        # busy_timeout comes first: turning WAL on needs a lock that another process may hold.
        for pragma in (
            f"busy_timeout={BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            *pragmas,
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)


def database_of(session: AsyncSession) -> Database:
    """Where a transaction writes."""
    found: Database = session.info["database"]
    return found


def before_commit(session: AsyncSession, hook: Hook) -> None:
    """Add a last statement to the transaction, such as rows of the outbox."""
    session.info.setdefault("before_commit", []).append(hook)


def after_commit(session: AsyncSession, action: Callable[[], None]) -> None:
    """Tell the world only about what is really stored."""
    session.info.setdefault("after_commit", []).append(action)


async def commit(session: AsyncSession) -> None:
    for hook in session.info.pop("before_commit", ()):
        await hook()
    await session.commit()
    for action in session.info.pop("after_commit", ()):
        action()
