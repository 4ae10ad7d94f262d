"""What the doors of runs and records answer."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core import broadcast
from astralytiq.core.db import Database
from astralytiq.core.security import SYSTEM, Role
from astralytiq.features.ingestion import reading, service, starting
from astralytiq.features.ingestion.schemas import source_spec
from astralytiq.features.ingestion.searching import Filters
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest

pytestmark = pytest.mark.anyio

RECORD = {
    "id", "source", "source_id", "title", "description", "content", "author", "published_at",
    "url", "category", "metadata", "entity_id", "content_hash", "run_id", "created_at",
    "updated_at",
}  # fmt: skip
RUN_IN_STATS = {
    "run_id", "source", "start_time", "end_time", "status", "records_processed",
    "records_inserted", "records_updated", "records_failed", "duration_ms",
}  # fmt: skip


def shop(name: str = "shop") -> dict[str, Any]:
    return {"kind": "csv", "path": f"{name}.csv", "primary_key": "id"}


@pytest.fixture
async def filled(inbox: Path, ingest: Ingest) -> None:
    """25 records of `shop`, in categories a and b, and 2 of `other`."""
    rows = "".join(f"{at},Item {at},{'ab'[at % 2]}\n" for at in range(25))
    (inbox / "shop.csv").write_text("id,title,category\n" + rows)
    (inbox / "other.csv").write_text("id,title\n1,x\n2,y\n")
    for name in ("shop", "other"):
        await ingest(name, **shop(name))


async def test_data_is_found_by_time_and_by_the_thing_itself(
    inbox: Path, ingest: Ingest, viewer: httpx2.AsyncClient
) -> None:
    rows = "".join(f"{n},https://example.org/{n},2026-0{n}-01T00:00:00Z\n" for n in range(1, 6))
    (inbox / "shop.csv").write_text("id,url,published_at\n" + rows)
    (inbox / "other.csv").write_text("id,url\n1,http://EXAMPLE.org/3/\n")
    for name in ("shop", "other"):
        await ingest(name, **shop(name))

    async def found(**asked: str) -> list[tuple[str, str]]:
        page = (await viewer.get("/data", params=asked)).json()
        assert page["total_count"] == len(page["data"])
        return [(one["source"], one["source_id"]) for one in page["data"]]

    march_on = {"published_after": "2026-03-01T00:00:00Z"}
    assert await found(**march_on) == [("shop", n) for n in "345"]
    assert await found(**march_on, published_before="2026-05-01") == [("shop", n) for n in "34"]
    third = (await viewer.get("/data", params=march_on)).json()["data"][0]
    same = {("shop", "3"), ("other", "1")}
    assert set(await found(entity_id=third["entity_id"])) == same
    assert len(await found(updated_since=third["updated_at"])) >= 2
    assert await found(updated_since="2100-01-01T00:00:00Z") == []
    assert (await viewer.get("/data?published_after=soon")).status_code == 422


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("root", ["", "/api/v1"])
async def test_data_is_served_in_pages(viewer: httpx2.AsyncClient, root: str) -> None:
    page = (await viewer.get(f"{root}/data")).json()
    assert set(page) == {
        "request_id", "total_count", "total_is_capped", "index_pending", "limit", "offset",
        "api_latency_ms", "data", "next_cursor",
    }  # fmt: skip
    assert (page["total_count"], page["limit"], page["offset"]) == (27, 10, 0)
    assert page["request_id"]
    assert page["api_latency_ms"] > 0
    assert len(page["data"]) == 10
    assert set(page["data"][0]) == RECORD
    later = (await viewer.get(f"{root}/data?offset=20&limit=100")).json()
    assert (len(later["data"]), later["next_cursor"]) == (7, None)
    one = (await viewer.get(f"{root}/data/{page['data'][3]['id']}")).json()
    assert one == page["data"][3]


@pytest.mark.usefixtures("filled")
async def test_a_cursor_walks_through_everything_once(viewer: httpx2.AsyncClient) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await viewer.get(f"/data?limit=4&source=shop{more}")).json()
        assert page["total_count"] == 25
        seen += [record["source_id"] for record in page["data"]]
        cursor = page["next_cursor"]
    assert seen == [str(at) for at in range(25)]


@pytest.mark.usefixtures("filled")
async def test_data_is_filtered(viewer: httpx2.AsyncClient) -> None:
    totals = [
        (await viewer.get(f"/data?{query}")).json()["total_count"]
        for query in ("source=other", "category=a", "source=other&category=a", "source=none")
    ]
    assert totals == [2, 13, 0, 0]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "offset=-1", "limit=x", "cursor=x", "cursor=5&offset=5"]
)
async def test_pages_that_make_no_sense_are_refused(viewer: httpx2.AsyncClient, query: str) -> None:
    assert (await viewer.get(f"/data?{query}")).status_code == 422


async def test_what_is_not_there_is_not_found(viewer: httpx2.AsyncClient) -> None:
    for path in ("/data/1", "/data/1/raw", "/api/v1/etl/runs/x", "/api/v1/sources/x"):
        assert (await viewer.get(path)).status_code == 404


async def test_before_any_run_there_are_nulls_and_zeros(viewer: httpx2.AsyncClient) -> None:
    assert (await viewer.get("/stats")).json() == {
        "last_run_id": None,
        "total_records_processed": 0,
        "total_records_inserted": 0,
        "total_records_updated": 0,
        "total_records_failed": 0,
        "last_run_timestamp": None,
        "last_run_status": None,
        "last_failure_timestamp": None,
        "runs": [],
        "sources": {},
    }


async def test_stats_sum_over_all_runs(
    inbox: Path, ingest: Ingest, viewer: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,a\n2,b\n3\n")
    await ingest("shop", **shop())
    (inbox / "shop.csv").write_text("id,title\n1,a\n2,c\n")
    second = await ingest("shop")
    failed = await ingest("gone", **shop("gone"))
    stats = (await viewer.get("/stats?limit=2")).json()
    totals = [
        stats[f"total_records_{kind}"] for kind in ("processed", "inserted", "updated", "failed")
    ]
    assert totals == [5, 2, 1, 1]
    assert stats["last_run_id"] == failed["run_id"]
    assert stats["last_run_status"] == "failed"
    assert stats["last_run_timestamp"] == failed["start_time"]
    assert stats["last_failure_timestamp"] == failed["end_time"]
    assert [run["run_id"] for run in stats["runs"]] == [failed["run_id"], second["run_id"]]
    assert set(stats["runs"][0]) == RUN_IN_STATS
    assert stats["runs"][1]["duration_ms"] > 0
    assert stats["sources"]["shop"]["runs"] == 2
    assert stats["sources"]["shop"]["records_processed"] == 5
    assert stats["sources"]["shop"]["last_run_id"] == second["run_id"]
    assert stats["sources"]["gone"]["last_run_status"] == "failed"
    assert (await viewer.get("/api/v1/stats")).json()["total_records_updated"] == 1


# Runs -------------------------------------------------------------------------------------------


async def test_a_run_is_accepted_and_listed(
    inbox: Path, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await scientist.post("/api/v1/sources", json={"name": "shop", **shop()})
    started = await scientist.post("/api/v1/sources/shop/run")
    run = started.json()
    assert started.status_code == 202
    assert started.headers["location"] == f"/api/v1/etl/runs/{run['run_id']}"
    assert (run["status"], run["source"], run["duration_ms"]) == ("in_progress", "shop", None)
    await run_jobs()
    listed = await scientist.get("/api/v1/etl/runs?source=shop")
    assert [found["status"] for found in listed.json()] == ["success"]
    assert listed.headers["x-total-count"] == "1"
    assert (await scientist.get("/api/v1/etl/runs?source=other")).json() == []


async def test_two_runs_at_once_are_one_too_many(
    inbox: Path, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    await scientist.post("/api/v1/sources", json={"name": "shop", **shop()})
    url = "/api/v1/sources/shop/run"
    first, second = await asyncio.gather(scientist.post(url), scientist.post(url))
    assert sorted([first.status_code, second.status_code]) == [202, 409]
    run = (first if first.status_code == 202 else second).json()
    third = await scientist.post(url)
    assert third.status_code == 409
    assert run["run_id"] in third.json()["detail"]
    await run_jobs()
    assert (await scientist.post(url)).status_code == 202


async def test_unknown_and_disabled_sources_do_not_run(scientist: httpx2.AsyncClient) -> None:
    body = {"name": "shop", "enabled": False, **shop()}
    await scientist.post("/api/v1/sources", json=body)
    assert (await scientist.post("/api/v1/sources/shop/run")).status_code == 409
    assert (await scientist.post("/api/v1/sources/other/run")).status_code == 404
    wrong = await scientist.post("/api/v1/sources/shop/run", json={"full": True})
    assert wrong.status_code == 422


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("root", ["", "/api/v1"])
async def test_all_enabled_sources_run_at_once(
    inbox: Path, scientist: httpx2.AsyncClient, run_jobs: RunJobs, method: str, root: str
) -> None:
    for name, enabled in (("a", True), ("b", True), ("c", False)):
        (inbox / f"{name}.csv").write_text("id\n1\n")
        body = {"name": name, "enabled": enabled, **shop(name)}
        await scientist.post("/api/v1/sources", json=body)
    answers = [await scientist.request(method, f"{root}/etl/run") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert {answer.headers["location"] for answer in answers} == {"/api/v1/etl/runs"}
    first, again = (answer.json() for answer in answers)
    assert first["status"] == "accepted"
    assert [run["source"] for run in first["runs"]] == ["a", "b"]
    assert first == again
    await run_jobs()
    listed = (await scientist.get("/api/v1/etl/runs")).json()
    assert [run["status"] for run in listed] == ["success", "success"]


async def test_a_run_is_told_live(database: Database, inbox: Path, ingest: Ingest) -> None:
    (inbox / "shop.csv").write_text("id\n1\n2\n3\n")
    live = broadcast.Broadcast(database)
    async with live.listen("run/shop") as heard:
        await ingest("shop", **shop(), batch_size=2)
        await live.deliver()
        messages = [heard.get_nowait().payload for _ in range(heard.qsize())]
    told = [(m["status"], m["records_processed"]) for m in messages]
    assert told[0] == ("in_progress", 0)
    assert ("in_progress", 2) in told
    assert told[-1] == ("success", 3)


@pytest.mark.parametrize(
    ("method", "path", "refused"),
    [
        ("GET", "/data", [Role.viewer]),
        ("POST", "/etl/run", [Role.viewer, Role.analyst]),
        ("GET", "/etl/run", [Role.viewer, Role.analyst]),
        ("POST", "/api/v1/etl/runs/x/cancel", [Role.viewer, Role.analyst]),
    ],
)
async def test_only_those_who_may_run(
    client: httpx2.AsyncClient, sign_in: SignIn, method: str, path: str, refused: list[Role]
) -> None:
    assert (await client.request(method, path)).status_code == 401
    for role in refused:
        expected = 200 if path == "/data" else 403
        assert (await (await sign_in(role)).request(method, path)).status_code == expected


@pytest.mark.parametrize(
    "path",
    ["/data", "/data/1", "/data/1/raw", "/stats", "/api/v1/data", "/api/v1/stats",
     "/api/v1/etl/runs", "/api/v1/etl/runs/x", "/api/v1/etl/rejects", "/etl/run"],
)  # fmt: skip
async def test_strangers_read_nothing(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401


# What other rooms build on ------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
async def test_other_rooms_read_records_in_batches(database: Database) -> None:
    async with database.reading() as session:
        sizes, seen = [], []
        async for batch in reading.batches(session, Filters(source="shop"), ["source_id"], 10):
            sizes.append(len(batch))
            seen += [record.source_id for record in batch]
        assert sizes == [10, 10, 5]
        assert seen == [str(at) for at in range(25)]
        assert await service.count_records(session, "shop") == 25
        assert await service.count_records(session, None) == 27
        assert await service.count_records(session, "none") == 0


async def test_other_rooms_learn_which_run_was_the_last(
    inbox: Path, ingest: Ingest, database: Database
) -> None:
    async with database.reading() as session:
        assert await service.last_run(session) is None
    contents = ["id,title\n1,a\n2,b\n", "id,title\n1,a\n2,c\n", "id,title\n1,a\n2,c\n"]
    (inbox / "shop.csv").write_text(contents[0])
    runs = [await ingest("shop", **shop())]
    for content in contents[1:]:
        (inbox / "shop.csv").write_text(content)
        runs.append(await ingest("shop"))
    async with database.reading() as session:
        last = await service.last_run(session)
    assert last is not None
    assert last.run_id == runs[2]["run_id"]


async def test_a_run_can_be_started_by_the_house_itself(
    inbox: Path, database: Database, run_jobs: RunJobs
) -> None:
    (inbox / "shop.csv").write_text("id\n1\n")
    body = source_spec.validate_python({"name": "shop", **shop()})
    await database.write(lambda s: service.ensure_source(s, SYSTEM, body))
    run = await database.write(lambda s: starting.start_run(s, SYSTEM, "shop"))
    await run_jobs()
    async with database.reading() as session:
        assert (await service.get_run(session, run.run_id)).status == "success"
