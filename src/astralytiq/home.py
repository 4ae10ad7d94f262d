"""The home folder: made on first use, held by one server at a time, filled with a first content."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from astralytiq import migrations
from astralytiq.core import belonging
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings, kept_value

SAMPLES = Path(__file__).parent / "samples"


class HomeError(Exception):
    """The home folder cannot be used; the message says why and what to do."""


def prepare(settings: Settings) -> None:
    """Make the folders of the home; HomeError if they cannot be written."""
    try:
        for folder in (settings.home, settings.home / "inbox", settings.storage_folder):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        probe = settings.home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeError(
            f"The home folder {settings.home} cannot be written ({error.strerror}): "
            "choose another with --home."
        ) from None


async def prepare_storage(resources: Resources) -> None:
    """What only a person can mend is better told at the start than by the first upload."""
    await asyncio.to_thread(resources.storage.prepare)


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Be the only server on this home, and leave a process id for whoever wants to stop us."""
    note = settings.home / "server.pid"
    try:
        with FileLock(settings.home / "server.lock", timeout=0):
            note.write_text(str(os.getpid()))
            try:
                yield
            finally:
                note.unlink(missing_ok=True)
    except Timeout:
        pid = note.read_text() if note.exists() else "unknown"
        raise HomeError(
            f"A server is running on {settings.home} already (process {pid}): "
            "stop it, or choose another --home."
        ) from None


def is_served(settings: Settings) -> bool:
    """Whether a server holds this home now."""
    try:
        with FileLock(settings.home / "server.lock", timeout=0):
            return False
    except Timeout:
        return True


def instance(settings: Settings) -> str:
    """This home's name in leases, the same at every start."""
    return f"home:{kept_value(settings.home / 'instance_id')[:12]}"


async def migrate(resources: Resources) -> None:
    """Bring the database up to date; production wants to be asked first."""
    database, settings = resources.database, resources.settings
    found = await migrations.current(database)
    if settings.production and found not in (None, migrations.head()):
        raise AppError(
            f"The database is at migration {found}, this version needs {migrations.head()}: "
            "make a backup, then run 'astralytiq migrate'."
        )
    await migrations.bring_up_to_date(database, settings.database)


async def refuse_other_storage(resources: Resources) -> None:
    """Two homes may share a server's database only if they share their storage, too."""
    try:
        await belonging.refuse_other_storage(resources)
    except AppError as refusal:
        raise HomeError(str(refusal)) from None


def migrate_now(settings: Settings) -> bool:
    """Bring the database up to date; whether there was something to do."""

    async def work() -> bool:
        async with opened(settings) as resources:
            return await migrations.bring_up_to_date(resources.database, settings.database)

    with worded(settings):
        return asyncio.run(work())


def go_back(settings: Settings, revision: str) -> Path | None:
    """Take the migrations back to `revision`; the copy of an SQLite file that is made first."""

    async def found() -> tuple[str | None, Path | None]:
        async with opened(settings) as resources:
            database = resources.database
            file = Path(str(database.url.database)) if database.is_sqlite else None
            return await migrations.current(database), file

    with worded(settings):
        current, file = asyncio.run(found())
        if revision != "base" and revision not in migrations.revisions():
            known = ", ".join(["base", *migrations.revisions()])
            raise HomeError(f"There is no migration {revision!r}; there are {known}.")
        copy = migrations.copy_before(file, current) if file and current else None
        migrations.downgrade(settings.database, revision)
    return copy


@contextmanager
def worded(settings: Settings) -> Iterator[None]:
    """A database that does not answer is one clear line."""
    try:
        yield
    except (DBAPIError, OSError) as fault:
        raise HomeError(database_fault(settings, fault)) from None


def database_fault(settings: Settings, fault: Exception) -> str:
    shown = make_url(settings.database).render_as_string(hide_password=True)
    cause = fault.orig if isinstance(fault, DBAPIError) and fault.orig else fault
    reason = (str(cause) or type(cause).__name__).splitlines()[0]
    return f"The database {shown} does not answer ({reason}): check DATABASE_URL."


async def refuse_unmigrated(resources: Resources) -> None:
    """For processes that only work on what a server or `migrate` has made."""
    found = await migrations.current(resources.database)
    if found != migrations.head():
        raise HomeError(
            f"The database is at migration {found or 'none'}, this version needs "
            f"{migrations.head()}: run 'astralytiq migrate' or start a server first."
        )


def copy_sample(settings: Settings, name: str) -> Path:
    """A file of ours, where file sources may read."""
    target = settings.home / "inbox" / name
    if not target.exists():
        shutil.copy(SAMPLES / name, target)
    return target
