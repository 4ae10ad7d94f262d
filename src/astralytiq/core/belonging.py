"""Which storage holds a database's files: a process that has another one must not work on it.

Processes of several homes, on several machines, may share a PostgreSQL. They share its jobs then,
and a worker whose storage is another would fail those of its neighbours: their files are not there.
So the storage has an id, as an object of its own, and the database keeps it from the first start.
"""

import asyncio
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, new_id
from astralytiq.core.errors import Conflict
from astralytiq.core.resources import Resources
from astralytiq.core.storage import Storage

KEY = "storage.id"
ONLY = 1


class StorageMark(Base):
    """One row: the id of the storage in which this database's files are."""

    __tablename__ = "storage_mark"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[str]


async def refuse_other_storage(resources: Resources) -> None:
    """Raises Conflict. An SQLite file needs no mark: it has one home, and that one storage."""
    database, storage = resources.database, resources.storage
    if database.is_sqlite:
        return
    known, here = await marks(resources)
    if known is None:
        here = here or await asyncio.to_thread(made, storage)
        known = await database.write(lambda session: mark(session, here))
    if here != known:
        raise Conflict(worded(resources, known, here))


async def other_storage(resources: Resources) -> str:
    """What would be refused, and nothing is marked; empty if nothing would."""
    if resources.database.is_sqlite:
        return ""
    known, here = await marks(resources)
    return "" if known in (None, here) else worded(resources, known or "", here)


async def marks(resources: Resources) -> tuple[str | None, str]:
    """The database's, if it has one, and the storage's."""
    async with resources.database.reading() as session:
        known = await marked(session)
    return known, await asyncio.to_thread(read, resources.storage)


def worded(resources: Resources, known: str, here: str) -> str:
    return (
        f"This database keeps its files in another storage than {resources.settings.storage} "
        f"(its id is {known}, this one has {here or 'none'}): set STORAGE_URL to that one for "
        "every process on this database, or set DATABASE_URL to a database of your own. If the "
        f"files have moved here, have the object {KEY!r} say {known}."
    )


async def marked(session: AsyncSession) -> str | None:
    return await session.scalar(select(StorageMark.value).where(StorageMark.id == ONLY))


async def mark(session: AsyncSession, value: str) -> str:
    """Of two first starts at once one is the first: its mark is the answer to both."""
    new = insert(StorageMark).values(id=ONLY, value=value)
    await session.execute(new.on_conflict_do_nothing())
    return (await session.scalars(select(StorageMark.value))).one()


def read(storage: Storage) -> str:
    """Empty if it has none."""
    return storage.get(KEY).decode().strip() if storage.exists(KEY) else ""


def made(storage: Storage) -> str:
    with suppress(Conflict):  # Another process was quicker.
        storage.put(KEY, new_id().encode())
    return read(storage)
