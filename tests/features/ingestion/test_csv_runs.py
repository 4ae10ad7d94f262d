"""Files become records, each row once, whatever happens on the way."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core import executor, jobs
from astralytiq.core.db import Database
from astralytiq.core.executor import Work
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion import pipeline
from astralytiq.features.ingestion.models import DataRecord, RawCsv, Run
from astralytiq.features.ingestion.read_csv import CsvReader
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}
RUNS = "/api/v1/etl/runs"


class Killed(BaseException):
    """The process dies here: nothing may catch this, and no word is left behind."""


def write_rows(path: Path, count: int, title: str = "Item") -> None:
    rows = "".join(f"{at},{title} {at},{at / 4}\n" for at in range(count))
    path.write_text("id,title,price\n" + rows)


async def records(client: httpx2.AsyncClient, source: str = "shop") -> list[dict[str, Any]]:
    answer = await client.get("/data", params={"source": source, "limit": 100})
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_a_file_becomes_records(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text(
        "\ufeffid,title,published_at,price,code,note\n"
        '7,"Café, small",2026-01-31T14:00+02:00,2.50,007,\n',
        encoding="utf-8",
    )
    run = await ingest("shop", **SHOP)
    assert (run["status"], run["error"], counts(run)) == ("success", None, (1, 1, 0, 0))
    assert run["duration_ms"] > 0
    (record,) = await records(scientist)
    assert record["source_id"] == "7"
    assert record["title"] == "Café, small"
    assert record["published_at"] == "2026-01-31T12:00:00Z"
    assert record["metadata"] == {"id": 7, "price": 2.5, "code": "007", "note": None}
    assert record["run_id"] == run["run_id"]
    raw = (await scientist.get(f"/data/{record['id']}/raw")).json()
    assert raw["payload"]["price"] == "2.50"
    assert raw["run_id"] == run["run_id"]


async def test_a_second_run_writes_nothing_new(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 5)
    first = await ingest("shop", **SHOP, batch_size=2)
    before = await records(scientist)
    again = await ingest("shop")
    assert (counts(first), counts(again)) == ((5, 5, 0, 0), (5, 0, 0, 0))
    assert await records(scientist) == before


async def test_a_changed_row_is_updated_in_its_place(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 3)
    await ingest("shop", **SHOP)
    before = await records(scientist)
    text = (inbox / "shop.csv").read_text()
    (inbox / "shop.csv").write_text(text.replace("Item 1", "Thing 1") + "3,New,9\n")
    run = await ingest("shop")
    after = await records(scientist)
    assert counts(run) == (4, 1, 1, 0)
    assert [r["title"] for r in after] == ["Item 0", "Thing 1", "Item 2", "New"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert (after[1]["id"], after[1]["created_at"]) == (before[1]["id"], before[1]["created_at"])
    assert after[1]["run_id"] == run["run_id"] != before[1]["run_id"]
    raw = (await scientist.get(f"/data/{after[1]['id']}/raw")).json()
    assert raw["payload"]["title"] == "Thing 1"


async def test_bad_rows_are_set_aside_and_the_rest_arrives(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    rows = ["1,a,2026-01-01", "2,short", "3,long,2026-01-01,more", ",no key,", "5,b,soon", "6,c,"]
    (inbox / "shop.csv").write_text("id,title,published_at\n" + "\n".join(rows) + "\n")
    run = await ingest("shop", **SHOP)
    assert (run["status"], counts(run)) == ("success", (6, 2, 0, 4))
    listed = await scientist.get("/api/v1/etl/rejects", params={"run_id": run["run_id"]})
    reasons = [(reject["raw_position"], reject["reason"]) for reject in listed.json()]
    assert listed.headers["x-total-count"] == "4"
    assert [position for position, _ in reasons] == [1, 2, 3, 4]
    for (_, reason), words in zip(
        reasons, ["2 cells", "4 cells", "primary key", "not a time"], strict=True
    ):
        assert words in reason
    assert listed.json()[0]["payload"]["cells"] == ["2", "short"]
    assert listed.json()[3]["payload"]["published_at"] == "soon"
    other = await scientist.get("/api/v1/etl/rejects?source=other")
    assert other.json() == []


async def test_of_a_key_twice_in_a_batch_the_last_counts(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,a\n1,b\n")
    run = await ingest("shop", **SHOP)
    assert counts(run) == (2, 1, 0, 0)
    assert [record["title"] for record in await records(scientist)] == ["b"]


async def test_a_glob_reads_all_its_files_in_order(inbox: Path, ingest: Ingest) -> None:
    (inbox / "days").mkdir()
    for day in range(3):
        (inbox / "days" / f"{day}.csv").write_text(f"id,title\n{day}a,x\n{day}b,y\n")
    (inbox / "days" / "empty.csv").write_text("")
    run = await ingest("days", kind="csv", path="days/*.csv", primary_key="id", batch_size=4)
    assert (run["status"], counts(run), run["batches"]) == ("success", (6, 6, 0, 0), 2)


async def test_other_encodings_and_delimiters_are_read(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_bytes("id;title\n1;Grün\n".encode("cp1252"))
    run = await ingest("shop", **SHOP, delimiter=";", encoding="cp1252")
    assert run["status"] == "success"
    assert (await records(scientist))[0]["title"] == "Grün"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file 'shop.csv'"),
        (b"id,title\n1,Gr\xfcn\n", "is not written in utf-8-sig: set the source's encoding"),
        (b"id,id\n1,2\n", "header names id more than once"),
    ],
)
async def test_a_file_that_cannot_be_read_fails_the_run_at_once(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, content: bytes | None, words: str
) -> None:
    if content is not None:
        (inbox / "shop.csv").write_bytes(content)
    run = await ingest("shop", **SHOP)
    assert run["status"] == "failed"
    assert words in run["error"]
    assert str(inbox) not in run["error"]
    assert run["end_time"] is not None
    job = (await scientist.get(f"/api/v1/jobs/{run['job_id']}")).json()
    assert (job["status"], job["attempts"]) == ("failed", 1)


async def test_20_a_link_that_leads_outside_is_refused(
    inbox: Path, ingest: Ingest, tmp_path: Path
) -> None:
    (tmp_path / "secret.csv").write_text("id\n1\n")
    (inbox / "shop.csv").symlink_to(tmp_path / "secret.csv")
    run = await ingest("shop", **SHOP)
    assert run["status"] == "failed"
    assert "leads outside" in run["error"]


# What dies and comes back ------------------------------------------------------------------------


def dying(method: Callable[..., Any], at: int, *, after: bool = False) -> Callable[..., Any]:
    """`method`, but the process dies at its call number `at`: before its work, or after it."""
    calls = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            raise Killed
        return method(*arguments, **named)

    async def call_async(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        found = await method(*arguments, **named)
        if calls == at:
            raise Killed
        return found

    return call_async if after else call


async def survive(resources: Resources, run_jobs: RunJobs) -> None:
    """The worker dies, its lease is taken back, another goes on."""
    with pytest.raises(Killed):
        await run_jobs()
    await resources.database.write(lambda s: jobs.reap(s, owner_prefix="tests"))


@pytest.mark.parametrize("change", ["grows", "comes", "stays"])
async def test_an_attempt_goes_on_only_behind_files_that_are_as_they_were(
    scientist: httpx2.AsyncClient,
    inbox: Path,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    for name in "acd":
        (inbox / f"{name}.csv").write_text(f"id\n{name}\n")
    body = {"name": "shop", "kind": "csv", "path": "*.csv", "primary_key": "id", "batch_size": 1}
    await scientist.post("/api/v1/sources", json=body)
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Pipeline, "store", dying(pipeline.Pipeline.store, 3))
        await survive(resources, run_jobs)
    match change:
        case "grows":
            (inbox / "a.csv").write_text("id\na\nnew\n")
        case "comes":  # and another goes, so that there are as many as before
            (inbox / "a.csv").rename(inbox / "b.csv")
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    read = {"grows": 2 + 4, "comes": 2 + 3, "stays": 3}[change]
    assert (run["status"], run["records_processed"]) == ("success", read)


async def once_each(database: Database, count: int) -> None:
    """Every row of the source has one record and one raw payload."""
    async with database.reading() as session:
        ids = (await session.scalars(select(DataRecord.source_id))).all()
        raw = await session.scalar(select(func.sum(RawCsv.record_count)))
    assert sorted(map(int, ids)) == list(range(count))
    assert raw == count


@pytest.mark.parametrize("at", [1, 2, 4])
async def test_dying_between_batches_loses_and_doubles_nothing(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    write_rows(inbox / "shop.csv", 10)
    body = {"name": "shop", **SHOP, "batch_size": 3}
    await scientist.post("/api/v1/sources", json=body)
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, at))
        await survive(resources, run_jobs)
    halfway = (await scientist.get(started.headers["location"])).json()
    assert (halfway["status"], counts(halfway)) == ("in_progress", (3 * at - 3, 3 * at - 3, 0, 0))
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run), run["batches"]) == ("success", (10, 10, 0, 0), 4)
    await once_each(resources.database, 10)


# Steps: the beginning, one for each of the four batches, the end.
@pytest.mark.parametrize("at", [1, 2, 5, 6])
async def test_dying_just_after_a_commit_loses_and_doubles_nothing(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    write_rows(inbox / "shop.csv", 10)
    body = {"name": "shop", **SHOP, "batch_size": 3}
    await scientist.post("/api/v1/sources", json=body)
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(Work, "step", dying(Work.step, at, after=True))
        await survive(resources, run_jobs)
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (10, 10, 0, 0))
    await once_each(resources.database, 10)


async def test_a_file_that_changed_meanwhile_is_read_from_its_top(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_rows(inbox / "shop.csv", 4)
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP, "batch_size": 2})
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 2))
        await survive(resources, run_jobs)
    write_rows(inbox / "shop.csv", 4, title="Ware")
    os.utime(inbox / "shop.csv", ns=(1, 1))
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (6, 4, 2, 0))
    assert [r["title"] for r in await records(scientist)] == [f"Ware {at}" for at in range(4)]


async def test_dying_too_often_ends_the_run_too(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_rows(inbox / "shop.csv", 2)
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP})
    run = (await scientist.post("/api/v1/sources/shop/run")).json()
    with monkeypatch.context() as patch:
        for _ in range(jobs.MAX_ATTEMPTS):
            patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 1))
            await survive(resources, run_jobs)
    (listed,) = (await scientist.get(RUNS)).json()
    assert (listed["run_id"], listed["status"]) == (run["run_id"], "failed")
    assert "ended without a word" in listed["error"]
    assert (await scientist.post("/api/v1/sources/shop/run")).status_code == 202


async def test_a_job_tried_again_takes_its_run_up_where_it_stopped(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    packed = gzip.compress(b"id,title\n1,a\n" + b"2,b\n" * 5_000)
    (inbox / "shop.csv").write_bytes(packed[:-4])
    run = await ingest("shop", **SHOP, batch_size=1000)
    assert run["status"] == "failed"
    assert run["records_inserted"] == 2
    write_rows(inbox / "shop.csv", 4)
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/retry")
    await run_jobs()
    again = (await scientist.get(f"{RUNS}/{run['run_id']}")).json()
    assert (again["status"], again["error"]) == ("success", None)
    assert len(await records(scientist)) == 4


async def test_a_zombie_writes_nothing(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that was only slow finds its lease gone, and leaves the run to its successor."""
    write_rows(inbox / "shop.csv", 4)
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP, "batch_size": 2})
    started = await scientist.post("/api/v1/sources/shop/run")
    database, lease = resources.database, resources.settings.job_lease_seconds
    slow = await database.write(lambda s: jobs.claim(s, "slow", lease))
    assert slow
    await database.write(lambda s: jobs.reap(s, owner_prefix="slow"))
    await executor.run(executor.Work(resources, slow))
    assert await records(scientist) == []
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (4, 4, 0, 0))


# Full refresh -----------------------------------------------------------------------------------


async def test_a_full_refresh_drops_what_the_source_no_longer_has(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 4)
    await ingest("shop", **SHOP, batch_size=2)
    before = await records(scientist)
    write_rows(inbox / "shop.csv", 3)
    kept = await ingest("shop")
    assert (counts(kept), len(await records(scientist))) == ((3, 0, 0, 0), 4)
    run = await ingest("shop", full_refresh=True)
    after = await records(scientist)
    assert counts(run) == (3, 0, 0, 0)
    assert [r["source_id"] for r in after] == ["0", "1", "2"]
    assert {r["run_id"] for r in after} == {run["run_id"]}
    assert [r["updated_at"] for r in after] == [r["updated_at"] for r in before[:3]]
    job = (await scientist.get(f"/api/v1/jobs/{run['job_id']}")).json()
    assert job["result"]["records_deleted"] == 1


async def test_a_full_refresh_with_rejects_drops_nothing(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write_rows(inbox / "shop.csv", 3)
    await ingest("shop", **SHOP)
    (inbox / "shop.csv").write_text("id,title,price\n0,Item 0,0.0\n1,broken\n")
    await ingest("shop", full_refresh=True)
    assert len(await records(scientist)) == 3


# Stopping ---------------------------------------------------------------------------------------


async def test_a_waiting_run_is_cancelled_at_once(
    inbox: Path, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write_rows(inbox / "shop.csv", 2)
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP})
    run = (await scientist.post("/api/v1/sources/shop/run")).json()
    cancelled = await scientist.post(f"{RUNS}/{run['run_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert cancelled.headers["location"] == f"{RUNS}/{run['run_id']}"
    await run_jobs()
    assert await records(scientist) == []
    assert (await scientist.post(f"{RUNS}/{run['run_id']}/cancel")).status_code == 409
    assert (await scientist.post(f"{RUNS}/nothing/cancel")).status_code == 404
    assert (await scientist.post(f"{RUNS}/\U0001f98a/cancel")).status_code == 404


async def test_a_running_run_stops_after_its_batch(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    database: Database,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_rows(inbox / "shop.csv", 6)
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP, "batch_size": 2})
    run = (await scientist.post("/api/v1/sources/shop/run")).json()
    steps, step = 0, Work.step

    async def cancelling(work: Work, *arguments: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            await scientist.post(f"{RUNS}/{run['run_id']}/cancel")
        return await step(work, *arguments, **named)

    monkeypatch.setattr(Work, "step", cancelling)
    await run_jobs()
    found = (await scientist.get(f"{RUNS}/{run['run_id']}")).json()
    assert (found["status"], counts(found)) == ("cancelled", (2, 2, 0, 0))
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Run.run_id))) == 1
