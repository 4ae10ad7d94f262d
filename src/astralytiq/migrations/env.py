"""Runs migrations in one transaction, on the database that settings or the caller name."""

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON, BigInteger, Connection, event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from astralytiq import wiring
from astralytiq.core.db import Base, UtcDateTime, async_url
from astralytiq.core.settings import Settings

MIGRATION_LOCK = 0x0B0B  # any number that nothing else locks

wiring.load_tables()


def begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def no_driver_transactions(connection: Any, _: Any) -> None:
    """SQLite can roll back a half-done migration, if the driver does not commit before DDL.

    Foreign keys stay off: batch mode rebuilds tables, and a cascade would delete their children.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def short_types(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Our own column types by name, so that a new migration reads well and needs no edits."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "db.UtcDateTime()"
    if isinstance(item, JSON):
        return "db.Json"
    has_variants = isinstance(item, BigInteger) and item._variant_mapping
    return "db.BigId" if has_variants else False


def migrate(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
        render_item=short_types,
    )
    with context.begin_transaction():
        if not sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        context.run_migrations()
        if sqlite and (orphans := connection.execute(text("PRAGMA foreign_key_check")).all()):
            raise RuntimeError(
                f"The migration would leave rows without their parents: {orphans[:5]}"
            )


async def run() -> None:
    url = async_url(context.config.attributes.get("url") or Settings().database)
    engine = create_async_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", no_driver_transactions)
        event.listen(engine.sync_engine, "begin", begin_immediate)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(run())
