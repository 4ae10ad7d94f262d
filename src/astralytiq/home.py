"""The home folder: made on first use, held by one server at a time, filled with a first content."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from astralytiq import migrations
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings, kept_value

SAMPLES = Path(__file__).parent / "samples"


class HomeError(Exception):
    """The home folder cannot be used; the message says why and what to do."""


def prepare(settings: Settings) -> None:
    """Make the folders of the home; HomeError if they cannot be written."""
    try:
        for folder in (settings.home, settings.home / "inbox", settings.storage):
            folder.mkdir(parents=True, exist_ok=True)
        probe = settings.home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeError(
            f"The home folder {settings.home} cannot be written ({error.strerror}): "
            "choose another with --home."
        ) from None


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Be the only server on this home, and leave a process id for whoever wants to stop us."""
    note = settings.home / "server.pid"
    try:
        with FileLock(settings.home / "server.lock", timeout=0):
            note.write_text(str(os.getpid()))
            yield
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


def copy_sample(settings: Settings, name: str) -> Path:
    """A file of ours, where file sources may read."""
    target = settings.home / "inbox" / name
    if not target.exists():
        shutil.copy(SAMPLES / name, target)
    return target
