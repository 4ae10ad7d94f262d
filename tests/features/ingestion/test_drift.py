"""A source that changes its fields is told of, and treated as its policy says."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core.executor import Work
from astralytiq.core.resources import Resources
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Reply, Server, serving
from tests.features.ingestion.test_csv_runs import dying, survive

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}
URL = "/api/v1/etl/drift"


def write(inbox: Path, header: str, *rows: str) -> None:
    (inbox / "shop.csv").write_text("\n".join([header, *rows]) + "\n")


async def told(client: httpx2.AsyncClient, **params: str) -> list[tuple[Any, ...]]:
    found = (await client.get(URL, params=params)).json()
    names = ("field", "change", "before", "after", "examples", "confidence")
    return sorted(tuple(one[name] for name in names) for one in found)


async def metadata(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    return [record["metadata"] for record in (await client.get("/data?limit=100")).json()["data"]]


async def test_added_removed_and_changed_fields_are_told_with_the_run_that_showed_them(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    write(inbox, "id,price,old", "1,2.5,x", "2,3.5,y")
    first = await ingest("shop", **SHOP)
    assert await told(viewer) == []
    write(inbox, "id,price,new", "1,2.5,5", "2,soon,", "3,9,", "4,1.5,7")
    second = await ingest("shop")
    assert second["status"] == "success"
    assert await told(viewer, run_id=second["run_id"]) == [
        ("new", "added", None, "integer", [5, 7], 1.0),
        ("old", "removed", "text", None, [], 1.0),
        ("price", "type_changed", "number", "text", ["soon"], 0.25),
    ]
    events = f"/api/v1/etl/runs/{second['run_id']}/events"
    told_live = (await viewer.get(events, headers={"Accept": "application/json"})).json()
    assert {one["message"] for one in told_live if one["kind"] == "drift"} == {
        "'new': new to integer", "'price': number to text", "'old': text to gone"
    }  # fmt: skip
    await ingest("shop")
    assert len(await told(viewer, source="shop")) == 3
    assert await told(viewer, run_id=first["run_id"]) == await told(viewer, source="other") == []
    page = await viewer.get(f"{URL}?limit=1")
    assert (page.headers["x-total-count"], len(page.json())) == ("3", 1)


async def test_drift_is_for_those_who_read_runs(client: httpx2.AsyncClient) -> None:
    assert (await client.get(URL)).status_code == 401


async def test_a_run_that_dies_tells_each_change_once(
    inbox: Path,
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(inbox, "id,old", "1,a")
    await ingest("shop", **SHOP, batch_size=1)
    write(inbox, "id,new", "1,a", "2,b", "3,c")
    for at in (2, 4):
        await scientist.post("/api/v1/sources/shop/run")
        with monkeypatch.context() as patch:
            patch.setattr(Work, "step", dying(Work.step, at, after=True))
            await survive(resources, run_jobs)
        await run_jobs()
    assert [one[:2] for one in await told(scientist)] == [("new", "added"), ("old", "removed")]


async def test_a_frozen_source_is_stopped_before_the_batch_that_changes_it(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox, "id,price", "1,2", "2,3")
    first = await ingest("shop", **SHOP, batch_size=2, schema_policy="freeze")
    assert first["status"] == "success"
    write(inbox, "id,price", "3,4", "4,5", "5,free", "6,7")
    run = await ingest("shop")
    assert (run["status"], counts(run), run["batches"]) == ("failed", (2, 2, 0, 0), 1)
    assert "'price' (integer to text). Its schema_policy is 'freeze'" in run["error"]
    assert await told(scientist) == [("price", "type_changed", "integer", "text", ["free"], 0.5)]
    assert len(await metadata(scientist)) == 4
    for policy in ("evolve", "freeze"):
        await scientist.patch("/api/v1/sources/shop", json={"schema_policy": policy})
        assert (await ingest("shop"))["status"] == "success"
    assert len(await metadata(scientist)) == 6


async def test_a_frozen_source_is_looked_at_whole(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    write(inbox, "id,price", "1,2")
    await ingest("shop", **SHOP, schema_policy="freeze")
    write(inbox, "id,price", *(f"{at},{at}" for at in range(149)), "150,free")
    assert (await ingest("shop"))["status"] == "failed"


async def test_unknown_fields_are_dropped_and_their_payload_kept(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "id,price", "1,2")
    await ingest("shop", **SHOP, schema_policy="discard")
    write(inbox, "id,price,new", "1,2,x", "2,3,y")
    run = await ingest("shop")
    assert counts(run) == (2, 1, 0, 0)  # Without the new field the first row is as it was.
    assert await metadata(scientist) == [{"id": 1, "price": 2}, {"id": 2, "price": 3}]
    second = (await scientist.get("/data")).json()["data"][1]
    raw = (await scientist.get(f"/data/{second['id']}/raw")).json()
    assert raw["payload"] == {"id": "2", "price": "3", "new": "y"}
    await ingest("shop")
    assert [one[:2] for one in await told(scientist)] == [("new", "added")]


async def test_what_was_dropped_is_there_again_once_it_is_let_in(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    write(inbox, "id", "1")
    await ingest("shop", **SHOP, schema_policy="discard")
    write(inbox, "id,new", "1,x", "2,y")
    await ingest("shop")
    await scientist.patch("/api/v1/sources/shop", json={"schema_policy": "evolve"})
    await scientist.post("/api/v1/sources/shop/replay")
    await run_jobs()
    assert [one.get("new") for one in await metadata(scientist)] == ["x", "y"]


async def test_a_first_run_that_dies_takes_all_fields_under_every_policy(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages: list[dict[str, Any]] = [{"id": 1, "a": 1}, {"id": 2, "b": 2}]
    with serving(lambda asked: Reply(pages)) as server:
        await scientist.post("/api/v1/sources", json=shop_at(server))
        started = await scientist.post("/api/v1/sources/shop/run")
        with monkeypatch.context() as patch:
            patch.setattr(Work, "step", dying(Work.step, 2, after=True))
            await survive(resources, run_jobs)
        await run_jobs()
    assert (await scientist.get(started.headers["location"])).json()["status"] == "success"
    assert await metadata(scientist) == pages


def shop_at(server: Server) -> dict[str, Any]:
    policy = {"schema_policy": "discard", "batch_size": 1}
    return {"name": "shop", "kind": "api", "url": server.url, "primary_key": "id", **policy}
