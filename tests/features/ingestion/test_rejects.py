"""What was rejected is tried again exactly once, or put aside; too much of it fails a run."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.db import Database
from astralytiq.core.executor import Work
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.ingestion import rejects
from astralytiq.features.ingestion.models import RawCsv
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Reply, serving
from tests.features.ingestion.test_csv_runs import dying, survive

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}
URL = "/api/v1/etl/rejects"
# Rows 1 and 2 have no key until the mapping knows of `code`; row 3 is bent.
CONTENT = "id,code,title\n1,x,one\n,y,two\n,z,three\n4,short\n"


async def titles(client: httpx2.AsyncClient) -> list[str]:
    data = (await client.get("/data?limit=100")).json()
    assert data["total_count"] == len(data["data"])
    return sorted(record["title"] for record in data["data"])


async def found(client: httpx2.AsyncClient, **params: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get(URL, params=params)).json()
    return listed


async def statuses(client: httpx2.AsyncClient) -> list[str]:
    return [reject["status"] for reject in await found(client)]


@pytest.fixture
async def rejected(inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient) -> dict[str, Any]:
    """A run with three rejects, of which two would pass now."""
    (inbox / "shop.csv").write_text(CONTENT)
    run = await ingest("shop", **SHOP)
    assert counts(run) == (4, 1, 0, 3)
    await scientist.patch("/api/v1/sources/shop", json={"primary_key": "code"})
    return run


async def test_one_that_passes_now_becomes_a_record_once(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient
) -> None:
    first = (await found(scientist, status="open"))[0]
    answer = await scientist.post(f"{URL}/{first['id']}/retry")
    assert (answer.status_code, answer.json()["status"]) == (200, "retried")
    assert answer.json()["settled_at"]
    assert await titles(scientist) == ["one", "two"]
    again = await scientist.post(f"{URL}/{first['id']}/retry")
    assert (again.status_code, "settled already" in again.json()["detail"]) == (409, True)
    record = (await scientist.get("/data")).json()["data"][1]
    assert (record["source_id"], record["run_id"]) == ("y", rejected["run_id"])
    raw = (await scientist.get(f"/data/{record['id']}/raw")).json()
    assert (raw["position"], raw["payload"]["title"]) == (1, "two")


async def test_one_that_still_cannot_pass_stays_open_with_its_reason(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient
) -> None:
    await scientist.patch("/api/v1/sources/shop", json={"primary_key": "nothing"})
    for reject in await found(scientist):
        answer = (await scientist.post(f"{URL}/{reject['id']}/retry")).json()
        assert answer["status"] == "open"
        expected = "2 cells" if reject["raw_position"] == 3 else "'nothing' is missing"
        assert expected in answer["reason"]
    assert await titles(scientist) == ["one"]


async def test_many_are_tried_again_by_a_job(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    asked = await scientist.post(f"{URL}/retry", json={"run_id": rejected["run_id"]})
    assert (asked.status_code, asked.json()["rejects"]) == (202, 3)
    await run_jobs()
    job = (await scientist.get(asked.headers["location"])).json()
    assert job["result"] == {"retried": 2, "still_open": 1}
    assert await titles(scientist) == ["one", "three", "two"]
    assert await statuses(scientist) == ["retried", "retried", "open"]
    left = await scientist.post(f"{URL}/retry", json={"ids": [1, 2]})
    assert left.status_code == 404


@pytest.mark.parametrize(("at", "after"), [(1, False), (1, True), (2, True), (3, True)])
async def test_dying_at_any_point_tries_each_again_exactly_once(
    rejected: dict[str, Any],
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    after: bool,
) -> None:
    monkeypatch.setattr(rejects, "PART", 1)
    asked = await scientist.post(f"{URL}/retry", json={"source": "shop"})
    with monkeypatch.context() as patch:
        patch.setattr(Work, "step", dying(Work.step, at, after=after))
        await survive(resources, run_jobs)
    await run_jobs()
    job = (await scientist.get(asked.headers["location"])).json()
    assert job["result"] == {"retried": 2, "still_open": 1}
    assert await titles(scientist) == ["one", "three", "two"]
    for record in (await scientist.get("/data")).json()["data"]:
        assert len((await scientist.get(f"/data/{record['id']}/history")).json()) == 1


async def test_an_old_reject_does_not_undo_what_came_later(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, rejected: dict[str, Any]
) -> None:
    (inbox / "shop.csv").write_text("id,code,title\n2,y,newer\n")
    await ingest("shop")
    reject = (await found(scientist))[0]
    answer = (await scientist.post(f"{URL}/{reject['id']}/retry")).json()
    assert answer["status"] == "retried"
    assert await titles(scientist) == ["newer", "one"]


async def test_rejects_of_another_kind_of_before_neither_undo_nor_are_settled_by_what_came_later(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    """Each kind counts its payloads by itself: the file's second stands beside the API's first."""
    url, newer = "/api/v1/sources/shop", [{"code": "y", "title": "newer"}]
    for content in ("id,code,title\nshort\n1,x,one\n", "id,code,title\n2,x,one\n,y,older\n"):
        (inbox / "shop.csv").write_text(content)
        await (ingest("shop") if "older" in content else ingest("shop", **SHOP))
    assert (await scientist.delete(f"{url}?records=keep")).status_code == 204
    with serving(lambda _: Reply(newer)) as server:
        await ingest("shop", kind="api", url=server.url, primary_key="code")
    assert await titles(scientist) == ["newer", "one", "one"]
    replayed = await scientist.post(f"{url}/replay")
    await run_jobs()
    assert (await scientist.get(replayed.headers["location"])).json()["status"] == "success"
    short, older = await found(scientist)
    assert [short["status"], older["status"]] == ["open", "open"]
    answer = await scientist.post(f"{URL}/{older['id']}/retry")
    assert answer.json()["status"] == "retried"
    assert await titles(scientist) == ["newer", "one", "one"]


async def test_nothing_is_tried_again_while_a_run_is_in_progress(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    reject = (await found(scientist))[0]
    await scientist.post("/api/v1/sources/shop/run")
    for path, body in ((f"{reject['id']}/retry", None), ("retry", {"source": "shop"})):
        refused = await scientist.post(f"{URL}/{path}", json=body)
        assert (refused.status_code, "in progress" in refused.json()["detail"]) == (409, True)
    await run_jobs()
    asked = await scientist.post(f"{URL}/retry", json={"source": "shop"})
    await scientist.post("/api/v1/sources/shop/run")
    await run_jobs()  # The run begins when the job has waited.
    job = (await scientist.get(asked.headers["location"])).json()
    assert (job["status"], "in progress" in job["error"]) == ("queued", True)
    assert "retried" not in await statuses(scientist)


async def test_what_is_discarded_is_not_tried_again(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    first = (await found(scientist))[0]
    one = await scientist.post(f"{URL}/{first['id']}/discard")
    assert (one.status_code, one.json()["status"]) == (200, "discarded")
    assert (await scientist.post(f"{URL}/{first['id']}/retry")).status_code == 409
    rest = await scientist.post(f"{URL}/discard", json={"source": "shop"})
    assert rest.json() == {"discarded": 2}
    assert await statuses(scientist) == ["discarded"] * 3
    assert await found(scientist, status="open") == []
    assert await titles(scientist) == ["one"]


async def test_rejects_are_settled_by_those_who_may(
    rejected: dict[str, Any], viewer: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    stranger = await sign_in(Role.data_scientist)
    first = (await found(viewer))[0]["id"]
    for path in (f"{first}/retry", f"{first}/discard"):
        assert (await viewer.post(f"{URL}/{path}")).status_code == 403
    for path in ("retry", "discard"):
        assert (await viewer.post(f"{URL}/{path}", json={"source": "shop"})).status_code == 403
    assert (await stranger.post(f"{URL}/{first}/discard")).status_code == 403
    assert (await stranger.post(f"{URL}/discard", json={"ids": [first]})).status_code == 403
    assert (await stranger.post(f"{URL}/{first}/retry")).status_code == 200
    assert (await stranger.post(f"{URL}/retry", json={})).status_code == 422
    assert (await stranger.post(f"{URL}/98765/retry")).status_code == 404


async def test_what_was_settled_is_in_the_audit_log(
    rejected: dict[str, Any], scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    first, second, _ = (reject["id"] for reject in await found(scientist))
    await scientist.post(f"{URL}/{first}/retry")
    await scientist.post(f"{URL}/{second}/discard")
    await scientist.post(f"{URL}/retry", json={"source": "shop"})
    await scientist.post(f"{URL}/discard", json={"source": "shop"})
    admin = await sign_in(Role.admin)
    logged = (await admin.get("/api/v1/audit?limit=20")).json()
    actions = {(entry["action"], entry["resource"]) for entry in logged}
    assert actions >= {
        ("reject.retried", f"reject/{first}"),
        ("reject.discarded", f"reject/{second}"),
        ("rejects.retried", "source/shop"),
        ("rejects.discarded", "source/shop"),
    }


# max_reject_ratio -------------------------------------------------------------------------------


def bad_from(path: Path, good: int, bad: int) -> None:
    rows = "".join(f"{at},t\n" for at in range(good)) + ",no key\n" * bad
    path.write_text("id,title\n" + rows)


async def test_a_run_ends_early_when_too_much_is_rejected(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    bad_from(inbox / "shop.csv", good=90, bad=200)
    run = await ingest("shop", **SHOP, batch_size=50, max_reject_ratio=0.2)
    assert (run["status"], counts(run)) == ("failed", (150, 90, 0, 60))
    assert "60 of 150 records were rejected, more than max_reject_ratio 0.2" in run["error"]
    assert (await scientist.get("/data")).json()["total_count"] == 90
    assert len(await found(scientist, run_id=run["run_id"])) == 60


async def test_a_small_run_is_judged_at_its_end(inbox: Path, ingest: Ingest) -> None:
    bad_from(inbox / "shop.csv", good=8, bad=2)
    run = await ingest("shop", **SHOP, batch_size=3, max_reject_ratio=0.1)
    assert (run["status"], counts(run)) == ("failed", (10, 8, 0, 2))
    bad_from(inbox / "other.csv", good=9, bad=1)
    run = await ingest("other", **SHOP | {"path": "other.csv"}, max_reject_ratio=0.1)
    assert run["status"] == "success"


async def test_a_failed_run_that_begins_again_after_another_still_adds_up(
    inbox: Path,
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    run_jobs: RunJobs,
    database: Database,
) -> None:
    bad_from(inbox / "shop.csv", good=90, bad=60)
    run = await ingest("shop", **SHOP, batch_size=60, max_reject_ratio=0)
    await scientist.patch("/api/v1/sources/shop", json={"max_reject_ratio": 0.5})
    await ingest("shop")
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/retry")
    await run_jobs()
    after = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).json()
    assert (after["status"], after["batches"], counts(after)) == ("success", 5, (270, 90, 0, 90))
    assert len(await found(scientist, run_id=run["run_id"], limit="200")) == 90
    async with database.reading() as session:
        query = select(RawCsv.batch).filter_by(run_id=run["run_id"]).order_by(RawCsv.batch)
        assert list(await session.scalars(query)) == [1, 2, 3, 4, 5]


async def test_a_failed_run_goes_on_when_more_rejects_are_allowed(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    bad_from(inbox / "shop.csv", good=90, bad=60)
    run = await ingest("shop", **SHOP, batch_size=60, max_reject_ratio=0)
    assert (run["status"], run["batches"]) == ("failed", 2)
    await scientist.patch("/api/v1/sources/shop", json={"max_reject_ratio": 0.5})
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/retry")
    await run_jobs()
    after = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).json()
    assert (after["status"], counts(after), after["batches"]) == ("success", (150, 90, 0, 60), 3)
    assert len(await found(scientist, limit="200")) == 60
