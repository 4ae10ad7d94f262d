"""The audit trail: one unbroken chain, whoever writes, that the database itself keeps as it is."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Integer, String, column, insert, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import migrations
from astralytiq.core import audit, broadcast
from astralytiq.core.audit import AuditActor, AuditEntry, AuditHead
from astralytiq.core.broadcast import OutboxMessage
from astralytiq.core.db import Database, Json, UtcDateTime
from astralytiq.core.errors import Conflict
from astralytiq.core.logging import client_address, request_id
from astralytiq.core.security import SYSTEM, Actor, Role
from astralytiq.features.history import service
from tests.databases import Databases

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2026, 1, 31, 8, 0, 0, 123_000, UTC)
ADA = Actor(7, "ada@example.com", frozenset(), Role.analyst)

# Writes entries one transaction each; every other one asks the outbox for its lock first.
WRITE = """
import asyncio, sys
from astralytiq import wiring
from astralytiq.core import audit, broadcast
from astralytiq.core.db import Database, Json, UtcDateTime
from astralytiq.core.security import Actor

actor = Actor(int(sys.argv[2]), f"writer {sys.argv[2]}", frozenset())

async def main():
    wiring.load_tables()
    database = Database(sys.argv[1])
    for number in range(50):
        async def write(session):
            if number % 2:
                broadcast.publish(session, "t", {})
            audit.record(session, actor, "thing.made", f"thing/{number}")
            if not number % 2:
                broadcast.publish(session, "t", {})
        await database.write(write)
    await database.close()

asyncio.run(main())
"""


async def write(database: Database, *resources: str, actor: Actor = ADA) -> None:
    async def record(session: AsyncSession) -> None:
        for resource in resources:
            audit.record(session, actor, "thing.made", resource)

    await database.write(record)


async def stored(database: Database) -> Sequence[AuditEntry]:
    async with database.reading() as session:
        return (await session.scalars(select(AuditEntry).order_by(AuditEntry.id))).all()


async def names(database: Database) -> dict[int, str | None]:
    async with database.reading() as session:
        found = await session.execute(select(AuditActor.actor_id, AuditActor.name))
        return {row.actor_id: row.name for row in found}


async def is_whole(database: Database) -> bool:
    return (await service.verify(database)).ok


async def test_27_four_processes_write_one_unbroken_chain(
    database: Database, database_url: str
) -> None:
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WRITE, database_url, str(number))
        for number in range(1, 5)
    ]
    assert [await asyncio.wait_for(child.wait(), 120) for child in children] == [0] * 4
    verdict = await service.verify(database)
    assert (verdict.rows, verdict.first_fault) == (200, None)
    assert {entry.actor_id for entry in await stored(database)} == {1, 2, 3, 4}


async def test_27_a_change_that_is_rolled_back_leaves_no_entry_and_no_gap(
    database: Database,
) -> None:
    async def fail(session: AsyncSession, *, keep: bool) -> None:
        audit.record(session, ADA, "thing.tried", f"thing/{keep}", outcome="refused")
        await session.flush()
        raise Conflict("no", keep=keep)

    await write(database, "thing/1")
    for keep in (False, True):
        with pytest.raises(Conflict):
            await database.write(lambda session, keep=keep: fail(session, keep=keep))  # type: ignore[misc]
    await write(database, "thing/2", "thing/3")
    entries = await stored(database)
    assert [(e.id, e.resource) for e in entries] == [
        (1, "thing/1"), (2, "thing/True"), (3, "thing/2"), (4, "thing/3"),
    ]  # fmt: skip
    assert await is_whole(database)


async def test_the_outbox_waits_for_the_audit_whichever_was_asked_first(
    database: Database,
) -> None:
    """Two locks taken in two orders would stop two writers for ever."""

    async def publish_first(session: AsyncSession) -> None:
        broadcast.publish(session, "t", {})
        audit.record(session, ADA, "thing.made", "thing/1")
        first, second = session.info["before_commit"]
        await first()
        assert await session.scalar(select(AuditEntry.id)) == 1
        assert await session.scalar(select(OutboxMessage.id)) is None
        session.info["before_commit"] = [second]

    await database.write(publish_first)
    assert await is_whole(database)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET outcome = 'no'",
        "UPDATE audit_entries SET id = id + 10",
        "UPDATE audit_entries SET address = '192.0.2.1'",
        "UPDATE audit_entries SET address = NULL, address_salt = NULL, actor_id = NULL",
        "DELETE FROM audit_entries",
        "UPDATE audit_head SET sequence = 1",
        "UPDATE audit_head SET hash = ''",
        "DELETE FROM audit_head",
    ],
)
async def test_27_the_database_itself_refuses_to_change_what_was_written(
    database: Database, statement: str
) -> None:
    await write(database, "thing/1", "thing/2")
    with pytest.raises(DBAPIError, match="append-only"):
        await database.write(lambda session: session.execute(text(statement)))
    assert await is_whole(database)


async def test_27_nor_does_it_empty_or_replace_it(database: Database) -> None:
    await write(database, "thing/1")
    if database.is_sqlite:
        columns = ", ".join(c.name for c in AuditEntry.__table__.columns)
        rows = columns.replace("outcome", "'ok'")
        statements = [f"INSERT OR REPLACE INTO audit_entries ({columns}) SELECT {rows} "
                      "FROM audit_entries"]  # fmt: skip
    else:
        statements = ["TRUNCATE audit_entries", "TRUNCATE audit_head"]
    for statement in statements:
        with pytest.raises(DBAPIError, match="append-only"):
            await database.write(lambda session, s=statement: session.execute(text(s)))  # type: ignore[misc]


async def test_where_a_request_came_from_is_known_and_outside_of_one_nothing_is(
    database: Database,
) -> None:
    await write(database, "thing/1", actor=SYSTEM)
    tokens = client_address.set("203.0.113.9"), request_id.set("request-1")
    await write(database, "thing/2")
    client_address.reset(tokens[0])
    request_id.reset(tokens[1])
    before, after = await stored(database)
    assert (before.address, before.address_digest, before.request_id) == (None, None, None)
    assert (before.actor_id, before.via) == (None, "system")
    assert (after.address, after.request_id) == ("203.0.113.9", "request-1")
    assert after.address_digest
    assert await is_whole(database)


async def test_27_who_is_forgotten_leaves_the_chain_whole_and_is_not_remembered_again(
    database: Database,
) -> None:
    token = client_address.set("203.0.113.9")
    nobody = Actor(None, "anonymous", frozenset(), via="anonymous")
    bob = Actor(8, "bob@example.com", frozenset())
    await write(database, "user/7", actor=nobody)  # a sign-in that failed
    await write(database, "thing/1")
    await write(database, "user/7", actor=bob)

    async def erase(session: AsyncSession) -> None:
        audit.forget(session, 7)
        audit.record(session, ADA, "user.erased", "user/7")

    await database.write(erase)
    await write(database, "thing/2")  # a job of hers that still runs
    client_address.reset(token)
    assert await names(database) == {7: None, 8: "bob@example.com"}
    entries = await stored(database)
    assert [entry.address for entry in entries] == [None, None, "203.0.113.9", None, None]
    assert [entry.actor_id for entry in entries] == [None, 7, 8, 7, 7]
    assert "ada@" not in str([vars(entry) for entry in entries])
    assert await is_whole(database)


async def test_a_new_name_is_shown_and_no_old_hash_changes(database: Database) -> None:
    await write(database, "thing/1")
    (before,) = await stored(database)
    await write(database, "thing/2", actor=Actor(7, "ada.lovelace@example.com", frozenset()))
    assert await names(database) == {7: "ada.lovelace@example.com"}
    assert (await stored(database))[0].hash == before.hash


async def test_27_what_somebody_writes_stays_on_its_line_and_tells_no_secret(
    database: Database,
) -> None:
    async def record(session: AsyncSession) -> None:
        audit.record(
            session, ADA, "thing.made", "thing/a\r\n2026-01-01 admin did it\x00\u202e",
            name="b\nc\u2028d\ud800", password="hunter2", url="https://u:pass@example.com",
            long="x" * 10_000, when=Role.admin, nested={"token": "t", "n": [1.5, -0.0, 1e22, None]},
        )  # fmt: skip

    await database.write(record)
    (entry,) = await stored(database)
    assert entry.resource == "thing/a\\u000d\\u000a2026-01-01 admin did it\\u0000\\u202e"
    assert entry.details["name"] == "b\\u000ac\\u2028d\\ud800"
    assert entry.details["password"] == "[redacted]"
    assert "pass@" not in entry.details["url"]
    assert entry.details["nested"] == {"token": "[redacted]", "n": [1.5, -0.0, 1e22, None]}
    assert len(entry.details["long"]) == audit.LONGEST
    assert await is_whole(database)


# The table as it was before migration 0003.
BEFORE = table(
    "audit_entries",
    column("created_at", UtcDateTime),
    column("actor_id", Integer),
    column("actor_name", String),
    column("action", String),
    column("resource", String),
    column("outcome", String),
    column("details", Json),
)


async def write_as_before(url: str, *actors: tuple[int | None, str]) -> list[str]:
    """All actors there are then."""
    entry = {"action": "thing.made", "resource": "thing/1", "outcome": "ok",
             "details": {"b": 1, "a": 2.50}, "created_at": LONG_AGO}  # fmt: skip
    database = Database(url)
    async with database.transaction() as session:
        rows = [{"actor_id": number, "actor_name": name, **entry} for number, name in actors]
        await session.execute(insert(BEFORE), rows)
        found = list(await session.scalars(select(BEFORE.c.actor_name)))
    await database.close()
    return found


def revision_before_the_chain() -> str:
    config = Config()
    config.set_main_option("script_location", str(migrations.HERE))
    return str(ScriptDirectory.from_config(config).get_revision("0003").down_revision)


async def test_entries_from_before_the_chain_become_its_first_rows_and_may_go_back(
    databases: Databases,
) -> None:
    url, before = await databases.fresh(), revision_before_the_chain()
    await asyncio.to_thread(migrations.downgrade, url, before)
    await write_as_before(url, (None, "system"), (7, "ada@example.com"))
    await asyncio.to_thread(migrations.upgrade, url)
    database = Database(url)
    await write(database, "thing/2")
    assert [(e.id, e.actor_id, e.via, e.resource) for e in await stored(database)] == [
        (1, None, "system", "thing/1"), (2, 7, "unknown", "thing/1"), (3, 7, "bearer", "thing/2"),
    ]  # fmt: skip
    assert (await stored(database))[0].created_at == LONG_AGO
    assert await names(database) == {7: "ada@example.com"}
    assert await is_whole(database)
    await database.close()
    await asyncio.to_thread(migrations.downgrade, url, before)
    told = await write_as_before(url, (8, "bob@example.com"))
    assert told == ["system", "ada@example.com", "ada@example.com", "bob@example.com"]
    await databases.drop(url)


async def test_27_a_row_forged_behind_the_end_is_never_built_upon(database: Database) -> None:
    """The next number comes from the recorded end, never from the rows that are there."""
    await write(database, "thing/1")

    async def forge(session: AsyncSession) -> None:
        row = (await session.execute(select(AuditEntry.__table__))).one()._mapping
        await session.execute(insert(AuditEntry), {**row, "id": 2})

    await database.write(forge)  # a row behind the end, which the chain knows nothing of
    with pytest.raises(DBAPIError):
        await write(database, "thing/2")
    async with database.reading() as session:
        assert await session.scalar(select(AuditHead.sequence)) == 1
