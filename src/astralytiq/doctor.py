"""Looks at everything a home depends on, and says what to do where something is wrong.

It needs no server, and changes nothing.
"""

import asyncio
import os
import platform
import shutil
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

import ml_core.native
from astralytiq import __version__, home, migrations
from astralytiq.core import belonging, mail
from astralytiq.core.clock import DatabaseNow
from astralytiq.core.db import utc_now
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings
from astralytiq.features.monitoring import checks

LEAST_FREE = 1 << 30
MOST_SKEW_SECONDS = 5.0
# What each extra brings: a module that tells whether it is there, and what for.
EXTRAS = {
    "sklearn": ("sklearn", "linear models and boosted trees"),
    "xgboost": ("xgboost", "XGBoost"),
    "onnx": ("onnxruntime", "uploaded ONNX models"),
    "plot": ("matplotlib", "pictures"),
    "mlflow": ("mlflow.server", "MLflow's own interface at /mlflow"),
    "s3": ("s3fs", "s3:// storage and sources"),
    "chat": ("apprise", "alerts to chat rooms"),
    "otel": ("opentelemetry.exporter", "traces"),
}


class Verdict(StrEnum):
    ok = "ok"
    note = "note"  # nothing is wrong, but good to know
    wrong = "wrong"


@dataclass(frozen=True)
class Finding:
    check: str
    verdict: Verdict
    detail: str


async def examine(settings: Settings) -> list[Finding]:
    """Everything, also what could only be looked at if something else were well."""
    found = [*of_the_machine(settings), of_the_home(settings), of_mail(settings)]
    async with opened(settings) as resources, aclosing(of_services(resources)) as services:
        found += [one async for one in services]
    return found


# Without the database ---------------------------------------------------------------------------


def of_the_machine(settings: Settings) -> Iterator[Finding]:
    yield Finding("version", Verdict.ok, f"{__version__}, Python {platform.python_version()}")
    build = ml_core.native.build_in_use()
    if build == ml_core.native.REFERENCE:
        words = "plain NumPy, many times slower: install again where a wheel can be built"
        yield Finding("kernels", Verdict.note, words)
    else:
        yield Finding("kernels", Verdict.ok, build)
    missing = [f"{name} ({what})" for name, (module, what) in EXTRAS.items() if not has(module)]
    words = f"not installed: {', '.join(missing)}" if missing else "all installed"
    yield Finding("extras", Verdict.note if missing else Verdict.ok, words)


def has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # Of its parent.
        return False


def of_the_home(settings: Settings) -> Finding:
    folder = existing(settings.home)
    if not os.access(folder, os.W_OK):
        words = f"{settings.home} cannot be written: change its rights, or choose another --home"
        return Finding("home", Verdict.wrong, words)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        words = f"{settings.home} has {free >> 20} MB left: make room"
        return Finding("home", Verdict.wrong, words)
    state = (
        "served now" if settings.home.exists() and home.is_served(settings) else "not served now"
    )
    return Finding("home", Verdict.ok, f"{settings.home}, {free >> 30} GB free, {state}")


def existing(path: Path) -> Path:
    """The folder, or the one above it that is there."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def of_mail(settings: Settings) -> Finding:
    if mail.is_set_up(settings):
        return Finding("mail", Verdict.ok, "is set up")
    words = "none is sent: set SMTP_URL and MAIL_FROM for password links and alerts"
    return Finding("mail", Verdict.note, words)


# With it ----------------------------------------------------------------------------------------


async def of_services(resources: Resources) -> AsyncGenerator[Finding]:
    database = await of_the_database(resources)
    yield database
    looks = checks.Checks(resources)
    # To look into a folder is to make it: that is for a start.
    wanted = ["storage", "mlflow"] if is_made(resources.settings) else ["mlflow"]
    if database.verdict is Verdict.ok:
        yield await of_the_clock(resources)
        if words := await of_another_storage(resources):
            yield Finding("storage", Verdict.wrong, words)
            wanted = ["mlflow"]
        wanted += ["workers", "scheduler"]
    for name, found in (await looks.look(*wanted)).items():
        verdict = Verdict.ok if found.status == checks.HEALTHY else Verdict.wrong
        yield Finding(name, verdict, found.detail)
    await looks.close()


async def of_the_database(resources: Resources) -> Finding:
    settings = resources.settings
    if not has_file(resources):
        words = "not made yet: 'astralytiq up' makes it"
        return Finding("database", Verdict.note, words)
    try:
        current = await asyncio.wait_for(migrations.current(resources.database), checks.PATIENCE)
    except (DBAPIError, OSError) as fault:
        return Finding("database", Verdict.wrong, home.database_fault(settings, fault))
    except TimeoutError:
        words = f"no answer within {checks.PATIENCE:g} s: check DATABASE_URL"
        return Finding("database", Verdict.wrong, words)
    if current != migrations.head():
        words = f"at migration {current or 'none'}, this version needs {migrations.head()}: "
        return Finding("database", Verdict.wrong, words + "run 'astralytiq migrate'")
    return Finding("database", Verdict.ok, f"answers, at migration {current}")


async def of_another_storage(resources: Resources) -> str:
    """Why no process with this storage starts on this database; empty where that is not known."""
    try:
        return await asyncio.wait_for(belonging.other_storage(resources), checks.PATIENCE)
    except (AppError, DBAPIError, OSError, TimeoutError):
        return ""  # A storage that does not answer is found by the look at it.


def is_made(settings: Settings) -> bool:
    return settings.storage_folder is None or settings.storage_folder.exists()


def has_file(resources: Resources) -> bool:
    """Whether the database is a server's, or a file that is there."""
    file = resources.database.url.database
    return not (resources.database.is_sqlite and file) or Path(file).exists()


async def of_the_clock(resources: Resources) -> Finding:
    """Leases are by the database's clock, tokens by ours."""
    async with resources.database.reading() as session:
        theirs: datetime = await session.scalar(select(DatabaseNow()))
    aware = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    skew = (utc_now() - aware).total_seconds()
    if abs(skew) > MOST_SKEW_SECONDS:
        words = f"{skew:+.1f} s beside the database's: synchronise the clocks of both machines"
        return Finding("clock", Verdict.wrong, words)
    return Finding("clock", Verdict.ok, f"{skew:+.1f} s beside the database's")
