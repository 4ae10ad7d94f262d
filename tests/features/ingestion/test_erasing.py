"""A thing that is erased is nowhere any more, and everything else is where it was."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import Database
from astralytiq.core.jobs import Job, JobEvent
from astralytiq.core.security import Role
from astralytiq.engines.etl.packing import packed, unpacked
from astralytiq.features.ingestion import erasing
from astralytiq.features.ingestion.cli import data
from astralytiq.features.ingestion.models import (
    DataRecord,
    Drift,
    RawApi,
    RawCsv,
    RecordVersion,
    Reject,
    Run,
    RunEvent,
)
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.test_history import count_exactly
from tests.features.ingestion.test_quality_commands import Command, command

__all__ = ["command"]

pytestmark = pytest.mark.anyio

HER = "Ada-Lovelace"
PEOPLE: dict[str, Any] = {"kind": "csv", "primary_key": "id"}
STORED = (DataRecord, RecordVersion, Reject, Run, RunEvent, Drift, Job, JobEvent)


def write(inbox: Path, *rows: str) -> None:
    (inbox / "people.csv").write_text("id,title,url,note\n" + "".join(f"{row}\n" for row in rows))


@pytest.fixture
async def ingested(inbox: Path, ingest: Ingest) -> None:
    """She stands in two runs of one source, once changed, and in another source."""
    address = "https://example.org/ada"
    write(inbox, f"1,{HER},{address},x", "2,Bob,,y", f"3,{HER} again,,z")
    await ingest("shop", **PEOPLE, path="people.csv", batch_size=2)
    write(inbox, f"1,{HER} II,{address},x", "2,Bob,,y", f"3,{HER} again,,z")
    await ingest("shop")
    (inbox / "other.csv").write_text(f"id,title,url\n77,{HER},{address}\n78,Carl,\n")
    await ingest("other", **PEOPLE, path="other.csv")


async def found(client: httpx2.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/data", params=asked)).json()["data"]
    return listed


async def id_of(client: httpx2.AsyncClient, source_id: str) -> int:
    (one,) = [one for one in await found(client) if one["source_id"] == source_id]
    return int(one["id"])


async def payloads(database: Database) -> list[list[Any]]:
    async with database.reading() as session:
        rows = await session.scalars(select(RawCsv).order_by(RawCsv.id))
        return [unpacked(row.payload) for row in rows]


async def everything(database: Database) -> str:
    """All that is stored of records, in words."""
    async with database.reading() as session:
        rows = [
            {attr.key: getattr(row, attr.key) for attr in row.__mapper__.column_attrs}
            for table in STORED
            for row in await session.scalars(select(table))
        ]
    return repr(rows) + repr(await payloads(database))


@pytest.mark.usefixtures("ingested")
async def test_her_records_versions_and_payloads_go_at_all_sources(
    scientist: httpx2.AsyncClient, database: Database, run_jobs: RunJobs
) -> None:
    erased = await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    assert erased.status_code == 202, erased.text
    assert (erased.json()["records"], erased.json()["sources"]) == (2, ["other", "shop"])
    assert [one["title"] for one in await found(scientist)] == ["Bob", f"{HER} again", "Carl"]
    assert await count_exactly(database) == {"shop": 2, "other": 1}
    await run_jobs()
    job = (await scientist.get(erased.headers["location"])).json()
    assert (job["status"], job["result"]) == ("succeeded", {"payloads": 3})
    assert "Lovelace" in await everything(database)  # of the third row, which is another thing
    await scientist.delete(f"/data/{await id_of(scientist, '3')}")
    await run_jobs()
    assert "Lovelace" not in await everything(database)
    assert [[one and one["id"] for one in batch] for batch in await payloads(database)] == [
        [None, "2"], [None], [None, "2"], [None], [None, "78"]
    ]  # fmt: skip
    trail = json.dumps((await scientist.get("/api/v1/jobs")).json())
    assert "Lovelace" not in trail


@pytest.mark.usefixtures("ingested")
async def test_what_stood_beside_her_keeps_its_place_and_can_be_replayed(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    await run_jobs()
    (bob,) = [one for one in await found(scientist) if one["title"] == "Bob"]
    raw = (await scientist.get(f"/data/{bob['id']}/raw")).json()
    assert (raw["position"], raw["payload"]["title"]) == (1, "Bob")
    started = await scientist.post("/api/v1/sources/shop/replay")
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (6, 0, 0, 0))
    assert len(await found(scientist, source="shop")) == 2


async def test_what_was_rejected_of_her_goes_too(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, database: Database,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    """A reject is told by its primary key, where it has one."""
    (inbox / "people.csv").write_text(f"id,title,published_at\n1,{HER},soon\n2,Bob,soon\n3,C,\n")
    await ingest("shop", **PEOPLE, path="people.csv")
    (inbox / "people.csv").write_text(f"id,title,published_at\n1,{HER},2026-01-01\n")
    await ingest("shop")
    await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    await run_jobs()
    rejects = (await scientist.get("/api/v1/etl/rejects")).json()
    assert [one["payload"]["title"] for one in rejects] == ["Bob"]
    assert "Lovelace" not in await everything(database)


@pytest.mark.usefixtures("ingested")
async def test_a_source_that_is_gone_is_searched_by_what_is_known(
    scientist: httpx2.AsyncClient, sign_in: SignIn, database: Database, run_jobs: RunJobs
) -> None:
    await scientist.delete("/api/v1/sources/other")
    record = await id_of(scientist, "77")
    assert (await scientist.delete(f"/data/{record}")).status_code == 403
    admin = await sign_in(Role.admin)
    assert (await admin.delete(f"/data/{record}")).status_code == 202
    await run_jobs()
    assert (await payloads(database))[-1][0] is None


async def test_she_goes_from_the_payloads_of_all_kinds_that_a_source_has_had(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, database: Database,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    """By today's key the rows of the other kind cannot be told: the same payload is hers too, and
    the number of its batch is another's in today's table."""
    write(inbox, "2,Bob,,y", f"1,{HER},,x")
    await ingest("shop", **PEOPLE, path="people.csv")
    write(inbox, "2,Bobby,,y", f"1,{HER},,x")
    await ingest("shop")
    await scientist.delete("/api/v1/sources/shop", params={"records": "keep"})
    anew = {"name": "shop", "kind": "api", "url": "https://example.org", "primary_key": "key"}
    assert (await scientist.post("/api/v1/sources", json=anew)).status_code == 201
    others = [{"key": "7", "title": "Eve"}, {"key": "8", "title": "Dan"}, {"key": "1"}]

    async def store(session: AsyncSession) -> None:
        row = RawApi(source="shop", run_id="later", batch=1, record_count=3, payload=packed(others))
        session.add(row)

    await database.write(store)
    await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    await run_jobs()
    assert "Lovelace" not in await everything(database)
    assert [[one and one["id"] for one in batch] for batch in await payloads(database)] == [
        ["2", None], ["2", None]
    ]  # fmt: skip
    async with database.reading() as session:
        assert unpacked((await session.scalars(select(RawApi.payload))).one()) == [
            *others[:2],
            None,
        ]


async def test_no_word_of_hers_stays_where_a_run_told_why_it_failed(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, database: Database,
    run_jobs: RunJobs,
) -> None:  # fmt: skip
    write(inbox, "1,A title,,x")
    await ingest("shop", **PEOPLE, path="people.csv", mapping={"published_at": "note"})
    write(inbox, f"1,A title,,{HER}")
    failed = await ingest("shop")
    assert HER in failed["error"]
    await scientist.post("/api/v1/sources/shop/run", json={"dry_run": True})
    await run_jobs()
    write(inbox, "1,A title,,2026-01-01")
    await ingest("shop")
    await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    await run_jobs()
    assert "Lovelace" not in await everything(database)
    told = (await scientist.get(f"/api/v1/etl/runs/{failed['run_id']}")).json()["error"]
    assert told.startswith("All 1 records were rejected. See GET /api/v1/etl/rejects")


@pytest.mark.usefixtures("ingested")
async def test_it_waits_for_nobody_and_is_for_owners(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    record = await id_of(scientist, "1")
    stranger, viewer = await sign_in(Role.data_scientist), await sign_in(Role.viewer)
    answers = [(await one.delete(f"/data/{record}")).status_code for one in (client, viewer)]
    assert answers == [401, 403]
    refused = await stranger.delete(f"/data/{record}")
    assert (refused.status_code, "its owner or an admin" in refused.text) == (403, True)
    await scientist.post("/api/v1/sources/other/run")
    busy = await scientist.delete(f"/data/{record}")
    assert (busy.status_code, "may bring it back" in busy.json()["detail"]) == (409, True)
    assert (await scientist.delete("/data/987654")).status_code == 404


@pytest.mark.usefixtures("ingested")
async def test_nothing_brings_her_back_before_her_payloads_are_gone(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    erased = await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    early = await scientist.post("/api/v1/sources/shop/replay")
    assert (early.status_code, erased.json()["job_id"] in early.json()["detail"]) == (409, True)
    await scientist.post(f"/api/v1/jobs/{erased.json()['job_id']}/cancel")
    still = await scientist.post("/api/v1/sources/shop/replay")
    assert (still.status_code, "/retry" in still.json()["detail"]) == (409, True)
    await scientist.post(f"/api/v1/jobs/{erased.json()['job_id']}/retry")
    await run_jobs()
    assert (await scientist.post("/api/v1/sources/shop/replay")).status_code == 202
    await run_jobs()
    assert "1" not in [one["source_id"] for one in await found(scientist)]


async def test_a_reject_of_hers_is_not_tried_again_before_it_is_gone(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "people.csv").write_text(f"id,title,published_at\n1,{HER},soon\n2,Bob,\n")
    await ingest("shop", **PEOPLE, path="people.csv")
    (inbox / "people.csv").write_text(f"id,title,published_at\n1,{HER},2026-01-01\n")
    await ingest("shop")
    await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    (reject,) = (await scientist.get("/api/v1/etl/rejects")).json()
    refused = await scientist.post(f"/api/v1/etl/rejects/{reject['id']}/retry")
    assert (refused.status_code, "yet to erase" in refused.json()["detail"]) == (409, True)


@pytest.mark.usefixtures("ingested")
async def test_an_address_that_all_have_is_no_thing(
    scientist: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "MOST", 1)
    refused = await scientist.delete(f"/data/{await id_of(scientist, '1')}")
    assert (refused.status_code, "is no thing" in refused.json()["detail"]) == (409, True)


@pytest.mark.usefixtures("ingested")
async def test_the_command_asks_first(command: Command, scientist: httpx2.AsyncClient) -> None:
    record = str(await id_of(scientist, "1"))
    left = await command(data, "erase", record, typed="n\n")
    assert (left.exit_code, "Erase 2 records" in left.stderr) == (1, True)
    done = await command(data, "erase", record, "--yes", "--json")
    assert json.loads(done.stdout)["records"] == 2
