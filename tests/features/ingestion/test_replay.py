"""Stored payloads are normalised again: each once, in their order, without asking the source."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core.executor import Work
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Reply, serving
from tests.features.ingestion.test_csv_runs import dying, survive

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}
URL = "/api/v1/sources/shop"


def write(inbox: Path, *rows: str) -> None:
    (inbox / "shop.csv").write_text("id,name\n" + "".join(f"{row}\n" for row in rows))


async def remap(client: httpx2.AsyncClient, **change: Any) -> None:
    changed = await client.patch(URL, json=change or {"mapping": {"title": "name"}})
    assert changed.status_code == 200, changed.text


async def replayed(client: httpx2.AsyncClient, run_jobs: RunJobs, **body: Any) -> dict[str, Any]:
    started = await client.post(f"{URL}/replay", json=body)
    assert started.status_code == 202, started.text
    await run_jobs()
    run: dict[str, Any] = (await client.get(started.headers["location"])).json()
    return run


async def titles(client: httpx2.AsyncClient) -> dict[str, str]:
    data = (await client.get("/data?limit=100")).json()
    assert data["total_count"] == len(data["data"])
    return {record["source_id"]: record["title"] for record in data["data"]}


async def versions(client: httpx2.AsyncClient) -> list[int]:
    data = (await client.get("/data?limit=100")).json()["data"]
    return [len((await client.get(f"/data/{one['id']}/history")).json()) for one in data]


async def test_a_mended_mapping_is_applied_to_what_was_stored(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A", "b,B", "c,C")
    loaded = await ingest("shop", **SHOP, batch_size=2)
    (inbox / "shop.csv").unlink()
    await remap(scientist)
    run = await replayed(scientist, run_jobs)
    assert (loaded["kind"], run["kind"], run["status"]) == ("load", "replay", "success")
    assert (counts(run), run["batches"], run["error"]) == ((3, 0, 3, 0), 2, None)
    assert await titles(scientist) == {"a": "A", "b": "B", "c": "C"}
    assert await versions(scientist) == [2, 2, 2]
    record = (await scientist.get("/data")).json()["data"][2]
    assert record["run_id"] == run["run_id"]
    for version in (1, 2):
        raw = (await scientist.get(f"/data/{record['id']}/raw?version={version}")).json()
        assert (raw["run_id"], raw["payload"]) == (loaded["run_id"], {"id": "c", "name": "C"})


async def test_the_same_mapping_changes_nothing(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    for title in ("old", "new", "newest"):
        write(inbox, f"a,{title}", "b,B")
        await ingest("shop", **(SHOP if title == "old" else {}))
    before = (await scientist.get("/data")).json()["data"]
    run = await replayed(scientist, run_jobs)
    assert (counts(run), run["records_unchanged"]) == ((6, 0, 0, 0), 6)
    assert (await scientist.get("/data")).json()["data"] == before
    assert await versions(scientist) == [3, 1]


async def test_the_latest_payload_counts_and_older_ones_make_no_versions(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    for title in ("old", "new"):
        write(inbox, f"a,{title}", f"b,{title}")
        await ingest("shop", **(SHOP if title == "old" else {}))
    await remap(scientist)
    assert counts(await replayed(scientist, run_jobs)) == (4, 0, 2, 0)
    assert await titles(scientist) == {"a": "new", "b": "new"}
    assert await versions(scientist) == [3, 3]


async def test_what_vanished_stays_away_and_what_came_back_stays(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A", "b,B", "c,C")
    await ingest("shop", **SHOP)
    write(inbox, "a,A")
    await ingest("shop", full_refresh=True)
    write(inbox, "a,A", "b,B")
    await ingest("shop")
    await remap(scientist)
    await replayed(scientist, run_jobs)
    assert await titles(scientist) == {"a": "A", "b": "B"}


async def test_rejects_that_pass_now_are_settled_and_new_ones_told_once(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    (inbox / "shop.csv").write_text("id,code,name\na,,A\n,b,B\nc\n")
    await ingest("shop", **SHOP)
    rejects = "/api/v1/etl/rejects"
    await remap(scientist, primary_key="code")
    for _ in range(2):
        run = await replayed(scientist, run_jobs)
        assert run["records_failed"] == 2
        found = [
            (one["raw_position"], one["status"]) for one in (await scientist.get(rejects)).json()
        ]
        assert found == [(1, "retried"), (2, "open"), (0, "open")]
    again = (await scientist.get(f"{rejects}?status=open")).json()[1]
    await remap(scientist, primary_key="id")
    assert (await scientist.post(f"{rejects}/{again['id']}/retry")).json()["status"] == "retried"
    assert (await titles(scientist)).keys() == {"a", "b"}


async def test_bent_rows_do_not_become_records_without_a_key(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A", "b")
    await ingest("shop", kind="csv", path="shop.csv")
    assert counts(await replayed(scientist, run_jobs)) == (2, 0, 0, 1)
    assert (await scientist.get("/data")).json()["total_count"] == 1


async def test_only_what_came_since_a_run_is_replayed(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A")
    await ingest("shop", **SHOP)
    write(inbox, "b,B")
    second = await ingest("shop")
    other = await ingest("other", **SHOP)
    await remap(scientist)
    run = await replayed(scientist, run_jobs, since_run=second["run_id"])
    assert counts(run) == (1, 0, 1, 0)
    for since_run, status in ((other["run_id"], 422), ("nothing", 404)):
        refused = await scientist.post(f"{URL}/replay", json={"since_run": since_run})
        assert refused.status_code == status


async def test_payloads_of_an_api_are_replayed_without_calling_it(
    ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    with serving(lambda asked: Reply([{"id": 1, "name": "x"}, 5])) as server:
        await ingest("shop", kind="api", url=server.url, primary_key="id")
    await remap(scientist)
    assert counts(await replayed(scientist, run_jobs)) == (2, 0, 1, 1)
    assert await titles(scientist) == {"1": "x"}


# Steps: the beginning, one for each of the three batches, the end.
@pytest.mark.parametrize(("at", "after"), [(2, False), (1, True), (3, True), (5, True)])
async def test_dying_at_any_point_replays_each_exactly_once(
    inbox: Path,
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    after: bool,
) -> None:
    write(inbox, *(f"{key},{key}" for key in "abcde"))
    await ingest("shop", **SHOP, batch_size=2)
    await remap(scientist)
    started = await scientist.post(f"{URL}/replay")
    with monkeypatch.context() as patch:
        patch.setattr(Work, "step", dying(Work.step, at, after=after))
        await survive(resources, run_jobs)
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run), run["batches"]) == ("success", (5, 0, 5, 0), 3)
    assert await titles(scientist) == dict(zip("abcde", "abcde", strict=True))
    assert await versions(scientist) == [2] * 5
    loaded = await ingest("shop")
    assert (loaded["status"], counts(loaded)) == ("success", (5, 0, 0, 0))


async def test_a_source_has_one_run_at_a_time_whatever_its_kind(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A")
    await ingest("shop", **SHOP)
    run = (await scientist.post(f"{URL}/replay")).json()
    for path in ("run", "replay"):
        assert (await scientist.post(f"{URL}/{path}")).status_code == 409
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/cancel")
    assert (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).json()["status"] == (
        "cancelled"
    )


async def test_a_replay_that_makes_too_many_rejects_fails_and_leaves_the_records(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "a,A", "b,B")
    await ingest("shop", **SHOP)
    await remap(scientist, mapping={"published_at": "name"})
    run = await replayed(scientist, run_jobs)
    assert (run["status"], "All 2 records were rejected" in run["error"]) == ("failed", True)
    assert len(await titles(scientist)) == 2


async def test_a_full_refresh_that_failed_half_way_marks_nothing_that_a_replay_has_changed(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "1,1", "2,2")
    await ingest("shop", **SHOP, batch_size=1, schema_policy="freeze")
    write(inbox, "1,1", "2,two")
    refresh = await ingest("shop", full_refresh=True)
    assert (refresh["status"], counts(refresh)) == ("failed", (1, 0, 0, 0))
    await remap(scientist, mapping={"title": "name"}, schema_policy="evolve")
    assert counts(await replayed(scientist, run_jobs)) == (3, 0, 2, 0)
    await scientist.post(f"/api/v1/jobs/{refresh['job_id']}/retry")
    await run_jobs()
    after = (await scientist.get(f"/api/v1/etl/runs/{refresh['run_id']}")).json()
    assert (after["status"], counts(after), after["records_deleted"]) == (
        "success", (3, 0, 1, 0), 0
    )  # fmt: skip
    assert await titles(scientist) == {"1": "1", "2": "two"}


async def test_replays_are_for_those_who_run_sources(
    inbox: Path, ingest: Ingest, viewer: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    write(inbox, "a,A")
    await ingest("shop", **SHOP)
    assert (await viewer.post(f"{URL}/replay")).status_code == 403
    colleague = await sign_in(Role.data_scientist)
    assert (await colleague.post(f"{URL}/replay")).status_code == 202
    assert (await colleague.post("/api/v1/sources/none/replay")).status_code == 404
