"""A dry run tells what a run would do, and leaves everything as it is."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.db import Database
from astralytiq.features.ingestion import anomalies, rehearsal, service
from astralytiq.features.ingestion.cli import source
from astralytiq.features.ingestion.models import (
    Checkpoint,
    DataRecord,
    Drift,
    RawApi,
    RawCsv,
    RecordCount,
    RecordNote,
    RecordVersion,
    Reject,
    SourceFields,
)
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_quality_commands import Command, command

__all__ = ["command"]

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id", "batch_size": 2}
KEPT = (
    Checkpoint, DataRecord, Drift, RawApi, RawCsv, RecordCount, RecordNote, RecordVersion, Reject,
    SourceFields,
)  # fmt: skip
COUNTS = ("processed", "inserted", "updated", "unchanged", "failed", "deleted")


def write(inbox: Path, text: str, header: str = "id,title") -> None:
    (inbox / "shop.csv").write_text(f"{header}\n{text}")


async def stored(database: Database) -> str:
    async with database.reading() as session:
        rows = [
            {attr.key: getattr(row, attr.key) for attr in row.__mapper__.column_attrs}
            for table in KEPT
            for row in await session.scalars(select(table))
        ]
    return repr(rows)


@pytest.fixture
def rehearse(scientist: httpx2.AsyncClient, run_jobs: RunJobs) -> Ingest:
    async def rehearse(name: str = "shop", **asked: Any) -> dict[str, Any]:
        started = await scientist.post(
            f"/api/v1/sources/{name}/run", json={"dry_run": True, **asked}
        )
        assert started.status_code == 202, started.text
        await run_jobs()
        run: dict[str, Any] = (await scientist.get(started.headers["location"])).json()
        return run

    return rehearse


def told(run: dict[str, Any]) -> dict[str, int]:
    return {name: run[f"records_{name}"] for name in COUNTS}


async def messages(client: httpx2.AsyncClient, run: dict[str, Any], kind: str) -> list[str]:
    path = f"/api/v1/etl/runs/{run['run_id']}/events"
    found = (await client.get(path, headers={"Accept": "application/json"})).json()
    return [event["message"] for event in found if event["kind"] == kind]


async def test_it_counts_as_the_run_after_it_and_stores_nothing(
    inbox: Path, ingest: Ingest, rehearse: Ingest, database: Database
) -> None:
    write(inbox, "1,a\n2,b\n3,c\n")
    await ingest("shop", **SHOP)
    write(inbox, "1,a\n2,B\n4,d\n5\n4,D\n4,D\n")
    before = await stored(database)
    dry = await rehearse()
    assert (dry["status"], dry["dry_run"], dry["error"]) == ("success", True, None)
    assert await stored(database) == before
    run = await ingest("shop")
    assert (run["dry_run"], told(run)) == (False, told(dry))
    assert told(dry) == {
        "processed": 6, "inserted": 1, "updated": 2, "unchanged": 1, "failed": 1, "deleted": 0
    }  # fmt: skip


async def test_it_tells_what_a_full_refresh_would_delete(
    inbox: Path, ingest: Ingest, rehearse: Ingest, database: Database
) -> None:
    write(inbox, "1,a\n2,b\n3,c\n")
    await ingest("shop", **SHOP)
    write(inbox, "1,a\n1,a\n4,d\n")
    dry = await rehearse(full_refresh=True)
    run = await ingest("shop", full_refresh=True)
    assert told(dry) == told(run)
    assert dry["records_deleted"] == 2


async def test_a_source_with_nothing_at_all_takes_nothing_away(
    inbox: Path, ingest: Ingest, rehearse: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox, "1,a\n2,b\n")
    await ingest("shop", **SHOP)
    write(inbox, "")
    for run in (await rehearse(full_refresh=True), await ingest("shop", full_refresh=True)):
        assert (run["status"], told(run)["deleted"]) == ("success", 0)
        (words,) = await messages(scientist, run, "nothing_read")
        assert "none of the 2 that are stored" in words
    assert (await scientist.get("/data")).json()["total_count"] == 2


async def test_its_events_say_why_and_what_changed(
    inbox: Path, ingest: Ingest, rehearse: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox, "1,a\n")
    await ingest("shop", **SHOP)
    write(inbox, "1,a,x\n2\n3,c,y\n", "id,title,colour")
    dry = await rehearse()
    assert await messages(scientist, dry, "drift") == ["'colour': new to text"]
    (why,) = await messages(scientist, dry, "would_reject")
    assert why.startswith("Record 2 would be rejected: ")
    (summary,) = await messages(scientist, dry, "dry_run")
    assert "add 1 records, change 1, leave 0 and reject 1" in summary
    assert (await scientist.get("/api/v1/etl/rejects")).json() == []
    assert (await scientist.get("/api/v1/etl/drift")).json() == []


@pytest.mark.parametrize(
    ("fields", "rows", "header", "words"),
    [
        ({"schema_policy": "freeze"}, "1,a,x\n", "id,title,colour", "colour"),
        ({"max_reject_ratio": 0.1}, "1,a\n2\n", "id,title", "max_reject_ratio"),
        ({}, "1\n2\n", "id,title", "All 2 records would be rejected"),
    ],
)
async def test_it_fails_where_a_run_would(
    inbox: Path, ingest: Ingest, rehearse: Ingest, fields: Any, rows: str, header: str, words: str
) -> None:
    write(inbox, "1,a\n")
    await ingest("shop", **SHOP, **fields)
    write(inbox, rows, header)
    dry = await rehearse()
    assert (dry["status"], words in dry["error"]) == ("failed", True)


async def test_it_asks_in_full_and_leaves_the_next_run_its_conditions(
    ingest: Ingest, rehearse: Ingest
) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"v1"':
            return Reply(status=304)
        return Reply([{"id": 1}], headers={"ETag": '"v1"'})

    with serving(answer) as server:
        await ingest("shop", kind="api", url=server.url, primary_key="id")
        dry = await rehearse()
        await ingest("shop")
    assert dry["records_unchanged"] == 1
    sent = [asked.headers.get("if-none-match") for asked in server.asked]
    assert sent == [None, None, '"v1"']


async def test_statistics_and_anomalies_do_not_know_of_it(
    inbox: Path, ingest: Ingest, rehearse: Ingest, scientist: httpx2.AsyncClient, database: Database
) -> None:
    write(inbox, "1,a\n")
    run = await ingest("shop", **SHOP)
    before = (await scientist.get("/stats")).json()
    dry = await rehearse()
    assert (await scientist.get("/stats")).json() == before
    write(inbox, "")
    await ingest("shop")
    async with database.reading() as session:
        last = await service.last_run(session)
        assert last
        assert [one.run_id for one in await anomalies.before(session, last)] == [run["run_id"]]
    compared = await scientist.get(f"/api/v1/etl/runs/{run['run_id']}/compare/{dry['run_id']}")
    assert compared.json()["counts"]["records_inserted"]["after"] == 0


async def test_past_what_it_remembers_it_goes_by_what_is_stored(
    inbox: Path, ingest: Ingest, rehearse: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "MOST_REMEMBERED", 1)
    write(inbox, "1,a\n")
    await ingest("shop", **SHOP)
    write(inbox, "1,a\n2,b\n3,c\n2,b\n")
    dry = await rehearse(full_refresh=True)
    assert (dry["records_inserted"], dry["records_deleted"]) == (3, 0)


async def test_the_command_tells_it_before_the_run(
    command: Command, inbox: Path, scientist: httpx2.AsyncClient
) -> None:
    write(inbox, "1,a\n2\n")
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP})
    done = await command(source, "run", "shop", "--dry-run", "--json")
    assert (json.loads(done.stdout)["dry_run"], done.exit_code) == (True, 0)
    assert "Record 2 would be rejected" in done.stderr
    assert "Nothing was stored. A run would add 1 records" in done.stderr
