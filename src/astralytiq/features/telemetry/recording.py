"""Stores events: many requests in one transaction, with all that is summed from them.

On SQLite whoever writes holds the lock of the whole database. On PostgreSQL writers of events take
one lock, too: all of them add to the same cells of "all devices", and would wait for each other
there, or for ever. So numbers of events grow in the order of their commits on both.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from typing import Any

from astralytiq.core import direct
from astralytiq.core.db import Database, unbroken, utc_now
from astralytiq.core.direct import numbered
from astralytiq.core.grouped import Grouped
from astralytiq.core.resources import Resources
from astralytiq.core.rows import stored_time

from . import announcing, rollups
from .intake import Row
from .schemas import MOST_EVENTS, microseconds_of

WRITER_LOCK = 0x0B0C  # any number that nothing else locks
LOCK = f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"
# New rows are a few at the end of a large table. A plan that is kept for all values of a parameter
# takes "above this number" for a third of the table, and would read all of it.
BEGIN = f"SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; {LOCK}"
COLUMNS = (
    "device", "event_id", "at", "received", "ear", "drowsy", "duration", "severity", "session_id",
)  # fmt: skip
# Of one INSERT of SQLite, which takes no more than 32,766 parameters.
AT_ONCE = 32_000 // len(COLUMNS)
DEVICES_AT_ONCE = 5_000

NEWEST = "SELECT coalesce(max(id), 0) FROM telemetry_events"
ONCE = "ON CONFLICT (device, event_id) DO NOTHING"
FIRST = "SELECT at, severity FROM telemetry_events WHERE device = ? AND event_id = ?"
SEEN = (
    "UPDATE telemetry_devices SET last_seen_at = ? WHERE device_id IN ({}) RETURNING device_id, id"
)
ARRIVED = "id > ?"
LATEST = """
SELECT e.event_id, d.device_id, e.session_id, e.at, e.received, e.ear, e.drowsy, e.duration,
e.severity FROM telemetry_events AS e JOIN telemetry_devices AS d ON d.id = e.device
WHERE e.id > ? ORDER BY e.id DESC LIMIT ?"""
TOTALS = (
    "SELECT count(*), sum(CASE WHEN drowsy THEN 1 ELSE 0 END) FROM telemetry_events WHERE id > ?"
)
# PostgreSQL's own: arrays of values, a placeholder for each column.
KINDS = ("bigint", "text", "bigint", "bigint", "int", "bool", "bigint", "smallint", "text")
UNNEST = (
    f"INSERT INTO telemetry_events ({', '.join(COLUMNS)}) SELECT * FROM unnest("
    + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(KINDS, 1))
    + f") {ONCE}"
)


@dataclass(slots=True)
class Posted:
    """What one request sent. `first` is when and how grave its event was when it came first."""

    rows: Sequence[Row]
    is_single: bool = False
    first: tuple[int, int] | None = None


@dataclass
class Kept:
    """What a group's transaction did."""

    events: int
    drowsy: int = 0
    latest: Sequence[Any] = field(default_factory=list)


def recorder(resources: Resources) -> Grouped[Posted]:
    async def keep(posts: Sequence[Posted]) -> None:
        kept = await stored(resources.database, posts)
        announcing.announcer(resources).add(kept.events, kept.drowsy, kept.latest)

    def make(_: Resources) -> Grouped[Posted]:
        return Grouped(keep, MOST_EVENTS, weigh=lambda post: len(post.rows))

    found = resources.own("telemetry.recorder", make)
    announcing.announcer(resources)  # Closed in this order: what is stored last is told, too.
    return found


async def stored(database: Database, posts: Sequence[Posted]) -> Kept:
    store = (
        direct.in_one_turn(database, partial(store_in_sqlite, posts))
        if database.is_sqlite
        else store_in_postgresql(database, posts)
    )
    return await unbroken(store)


def rows_of(posts: Sequence[Posted]) -> list[Row]:
    return list(chain.from_iterable(post.rows for post in posts))


def with_device(rows: Sequence[Row], devices: dict[str, int], received: int) -> list[Any]:
    return [(devices[row[0]], row[1], row[2], received, *row[3:]) for row in rows]


# SQLite -----------------------------------------------------------------------------------------


def store_in_sqlite(posts: Sequence[Posted], connection: sqlite3.Connection) -> Kept:
    rows, now = rows_of(posts), utc_now()
    devices = seen_in_sqlite(connection, sorted({row[0] for row in rows}), stored_time(now))
    (before,) = connection.execute(NEWEST).fetchone()
    full = with_device(rows, devices, microseconds_of(now))
    inserted = sum(
        insert_in_sqlite(connection, full[start : start + AT_ONCE])
        for start in range(0, len(full), AT_ONCE)
    )
    if inserted < len(rows):
        for post in posts:
            if post.is_single:
                row = post.rows[0]
                post.first = connection.execute(FIRST, (devices[row[0]], row[1])).fetchone()
    if not inserted:
        return Kept(0)
    for statement in SUMMED:
        connection.execute(statement, (before,))
    _, drowsy = connection.execute(TOTALS, (before,)).fetchone()
    latest = connection.execute(LATEST, (before, announcing.MOST_LATEST)).fetchall()
    return Kept(inserted, drowsy, latest)


SUMMED = rollups.added(ARRIVED)


def insert_in_sqlite(connection: sqlite3.Connection, rows: Sequence[Any]) -> int:
    return connection.execute(insert_of(len(rows)), list(chain.from_iterable(rows))).rowcount


@lru_cache(128)
def insert_of(rows: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    values = ", ".join([row] * rows)
    return f"INSERT INTO telemetry_events ({', '.join(COLUMNS)}) VALUES {values} {ONCE}"


def seen_in_sqlite(
    connection: sqlite3.Connection, names: Sequence[str], now: str
) -> dict[str, int]:
    known: dict[str, int] = {}
    for start in range(0, len(names), DEVICES_AT_ONCE):
        some = names[start : start + DEVICES_AT_ONCE]
        statement = SEEN.format(", ".join("?" * len(some)))
        known.update(connection.execute(statement, (now, *some)).fetchall())
    for name in names:
        if name not in known:
            sql = (
                "INSERT INTO telemetry_devices (device_id, first_seen_at, last_seen_at)"
                " VALUES (?, ?, ?) RETURNING id"
            )
            (known[name],) = connection.execute(sql, (name, now, now)).fetchone()
    return known


# PostgreSQL -------------------------------------------------------------------------------------


async def store_in_postgresql(database: Database, posts: Sequence[Posted]) -> Kept:
    rows = rows_of(posts)
    async with direct.in_one_transaction(database) as (_, raw):
        await raw.execute(BEGIN)
        now = utc_now()
        devices = await seen_in_postgresql(raw, sorted({row[0] for row in rows}), now)
        before = await raw.fetchval(NEWEST)
        columns = list(zip(*with_device(rows, devices, microseconds_of(now)), strict=True))
        inserted = int((await raw.execute(UNNEST, *columns)).rpartition(" ")[2])
        if inserted < len(rows):
            for post in posts:
                if post.is_single:
                    row = post.rows[0]
                    found = await raw.fetchrow(numbered(FIRST), devices[row[0]], row[1])
                    post.first = tuple(found)
        if not inserted:
            return Kept(0)
        for statement in SUMMED:
            await raw.execute(numbered(statement), before)
        _, drowsy = await raw.fetchrow(numbered(TOTALS), before)
        latest = await raw.fetch(numbered(LATEST), before, announcing.MOST_LATEST)
        return Kept(inserted, drowsy, latest)


async def seen_in_postgresql(raw: Any, names: Sequence[str], now: Any) -> dict[str, int]:
    seen = (
        "UPDATE telemetry_devices SET last_seen_at = $1 WHERE device_id = ANY($2)"
        " RETURNING device_id, id"
    )
    known: dict[str, int] = dict(map(tuple, await raw.fetch(seen, now, names)))
    new = [name for name in names if name not in known]
    if new:
        insert = (
            "INSERT INTO telemetry_devices (device_id, first_seen_at, last_seen_at)"
            " SELECT name, $1, $1 FROM unnest($2::text[]) AS name RETURNING device_id, id"
        )
        known.update(map(tuple, await raw.fetch(insert, now, new)))
    return known
