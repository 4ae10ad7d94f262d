"""Whoever gets past the guards of the database is still found: verify names the first row."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.logging import client_address
from astralytiq.features.history import service

from .conftest import tell

pytestmark = pytest.mark.anyio

VERIFY = "/api/v1/audit/verify"
ROWS = 10


@pytest.fixture
async def trail(
    admin: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten rows without guards, read in batches of three."""
    monkeypatch.setattr(service, "BATCH", 3)
    token = client_address.set("203.0.113.9")
    for number in range(2, ROWS + 1):
        await tell(database, "thing.made", f"thing/{number}", size=number)
    client_address.reset(token)
    await drop_guards(database)


async def drop_guards(database: Database) -> None:
    if database.is_sqlite:
        query = "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE name LIKE 'audit%' "
        query += "AND type = 'trigger'"
    else:
        query = "SELECT 'ALTER TABLE ' || t || ' DISABLE TRIGGER ALL' FROM "
        query += "unnest(ARRAY['audit_entries', 'audit_head']) AS t"
    await run(database, *await run(database, query))


async def run(database: Database, *statements: str) -> list[Any]:
    async def execute(session: AsyncSession) -> list[Any]:
        results = [await session.execute(text(statement)) for statement in statements]
        return [row[0] for result in results if result.returns_rows for row in result]  # type: ignore[attr-defined]

    return await database.write(execute)


async def rewrite(database: Database, sequence: int, **fields: Any) -> str:
    """What somebody would do who knows how hashes are made."""

    async def change(session: AsyncSession) -> str:
        table = AuditEntry.__table__
        row = dict(
            (await session.execute(select(table).where(table.c.id == sequence))).one()._mapping
        )
        row |= fields
        row["hash"] = audit.digest(row)
        await session.execute(text(f"DELETE FROM audit_entries WHERE id = {sequence}"))
        await session.execute(insert(AuditEntry), row)
        return str(row["hash"])

    return await database.write(change)


async def fault(admin: httpx2.AsyncClient, expect: str = "") -> tuple[int, str]:
    answer = (await admin.get(VERIFY, params={"expect": expect} if expect else {})).json()
    assert answer["ok"] is False
    return answer["first_fault"]["sequence"], answer["first_fault"]["reason"]


@pytest.mark.usefixtures("trail")
class TestSomebodyWhoGotPastTheGuards:
    async def test_finds_a_whole_chain_whole(self, admin: httpx2.AsyncClient) -> None:
        answer = (await admin.get(VERIFY)).json()
        assert (answer["rows"], answer["ok"], answer["first_fault"]) == (ROWS, True, None)
        assert answer["head"]["sequence"] == ROWS

    @pytest.mark.parametrize(
        "change",
        [
            "outcome = 'ok '", "actor_id = 1", "actor_id = NULL", "via = 'system'",
            "action = 'thing.seen'", "resource = 'thing/99'", "request_id = 'other'",
            "details = '{}'", "details = 'no JSON'", "hash = previous_hash",
            "address_digest = NULL", "created_at = '2026-01-31 08:00:00'",
        ],
    )  # fmt: skip
    async def test_is_found_by_any_field_of_a_row(
        self, admin: httpx2.AsyncClient, database: Database, change: str
    ) -> None:
        await run(database, f"UPDATE audit_entries SET {change} WHERE id = 5")
        sequence, reason = await fault(admin)
        assert sequence == 5
        assert "altered" in reason

    async def test_is_found_by_a_time_that_is_none(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        if database.is_sqlite:  # PostgreSQL takes none.
            await run(database, "UPDATE audit_entries SET created_at = 'noon' WHERE id = 5")
            assert (await fault(admin))[0] == 5

    async def test_is_found_by_an_address(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "UPDATE audit_entries SET address = '192.0.2.1' WHERE id = 6")
        assert await fault(admin) == (6, "its address was altered")

    async def test_is_found_by_a_removed_row(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "DELETE FROM audit_entries WHERE id IN (4, 5)")
        assert await fault(admin) == (4, "it is missing: the next row is 6")

    async def test_is_found_by_a_row_removed_with_its_number(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "DELETE FROM audit_entries WHERE id = 4",
                  "UPDATE audit_entries SET id = -id WHERE id > 4",
                  "UPDATE audit_entries SET id = -id - 1 WHERE id < 0",
                  "UPDATE audit_head SET sequence = 9")  # fmt: skip
        sequence, reason = await fault(admin)
        assert sequence == 4
        assert "does not follow" in reason

    async def test_is_found_by_a_swapped_pair(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "UPDATE audit_entries SET id = 99 WHERE id = 5",
                  "UPDATE audit_entries SET id = 5 WHERE id = 7",
                  "UPDATE audit_entries SET id = 7 WHERE id = 99")  # fmt: skip
        assert (await fault(admin))[0] == 5

    async def test_is_found_by_a_row_rewritten_with_its_hash(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await rewrite(database, 5, resource="thing/99")
        sequence, reason = await fault(admin)
        assert sequence == 6  # row 5 is right in itself: the next one does not follow it
        assert "does not follow the row before it" in reason

    async def test_is_found_by_a_last_row_rewritten_with_its_hash(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await rewrite(database, ROWS, resource="thing/99")
        assert (await fault(admin))[0] == ROWS

    async def test_is_found_by_rows_removed_from_the_end_also_when_others_follow(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "DELETE FROM audit_entries WHERE id > 8")
        assert await fault(admin) == (9, "it is missing: the chain goes on to row 10")
        await tell(database, "thing.made", "thing/11")
        assert await fault(admin) == (9, "it is missing: the next row is 11")

    async def test_is_found_by_all_rows_removed(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "DELETE FROM audit_entries")
        assert (await fault(admin))[0] == 1

    @pytest.mark.parametrize(("number", "named"), [(11, 11), (0, 0), (-5, -5)])
    async def test_is_found_by_an_added_row(
        self, admin: httpx2.AsyncClient, database: Database, number: int, named: int
    ) -> None:
        async def add(session: AsyncSession) -> None:
            row = (await session.execute(select(AuditEntry.__table__).limit(1))).one()._mapping
            await session.execute(insert(AuditEntry), {**row, "id": number})

        await database.write(add)
        assert (await fault(admin))[0] == named

    async def test_is_found_by_a_missing_end(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        await run(database, "DELETE FROM audit_head")
        assert await fault(admin) == (0, "the recorded end of the chain is missing")

    async def test_who_rewrites_the_end_too_is_found_only_by_an_end_noted_elsewhere(
        self, admin: httpx2.AsyncClient, database: Database
    ) -> None:
        head = (await admin.get(VERIFY)).json()["head"]
        noted = f"{head['sequence']}:{head['hash']}"
        await tell(database, "thing.made", "thing/11")
        assert (await admin.get(VERIFY, params={"expect": noted})).json()["ok"] is True
        await run(database, "DELETE FROM audit_entries WHERE id > 8",
                  "UPDATE audit_head SET sequence = 8, hash = "
                  "(SELECT hash FROM audit_entries WHERE id = 8)")  # fmt: skip
        assert (await admin.get(VERIFY)).json()["ok"] is True  # nothing in the database tells
        assert (await fault(admin, noted))[0] == 9
        for number in range(9, 13):
            await tell(database, "thing.made", f"thing/{number}", size=-number)
        assert (await admin.get(VERIFY)).json()["ok"] is True
        sequence, reason = await fault(admin, noted)
        assert sequence == 10
        assert "rewritten" in reason


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "astralytiq.cli", "--home", str(home), "audit", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_lists_exports_and_verifies(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "audit.csv"
    assert "user.created" in command(home, "list", "--action", "user.").stdout
    assert command(home, "export", "--output", str(file)).returncode == 0
    assert file.read_text().count("\n") > 1
    whole = command(home, "verify")
    assert (whole.returncode, whole.stderr) == (0, "")
    noted = whole.stdout.rsplit("--expect ", 1)[1].strip()
    assert command(home, "verify", "--expect", noted, "--json").returncode == 0
    (path,) = home.glob("*.db")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER audit_entries_update")
        connection.execute("UPDATE audit_entries SET outcome = 'refused' WHERE id = 1")
    broken = command(home, "verify")
    assert broken.returncode == 1
    assert "Row 1 of the audit trail does not fit: it was altered" in broken.stderr
    assert "Traceback" not in broken.stderr
