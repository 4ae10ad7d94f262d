"""What a record was, what vanished, and how many there are."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core.db import Database
from astralytiq.features.ingestion import reading, service
from astralytiq.features.ingestion.models import DataRecord
from astralytiq.features.ingestion.searching import Filters
from tests.features.ingestion.conftest import Ingest
from tests.features.ingestion.servers import Reply, serving

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}


def write(inbox: Path, **titles: str) -> None:
    rows = "".join(f"{key},{title}\n" for key, title in titles.items())
    (inbox / "shop.csv").write_text("id,title\n" + rows)


async def only_record(client: httpx2.AsyncClient, source: str = "shop") -> dict[str, Any]:
    (found,) = (await client.get("/data", params={"source": source})).json()["data"]
    return dict(found)


async def count_exactly(database: Database) -> dict[str, int]:
    """Of each source the records it has; and the kept counts must say the same."""
    query = select(DataRecord.source, func.count()).where(DataRecord.deleted_at.is_(None))
    async with database.reading() as session:
        rows = dict((await session.execute(query.group_by(DataRecord.source))).all())
        for source in ("shop", "other"):
            assert await service.count_records(session, source) == rows.get(source, 0)
        assert await service.count_records(session, None) == sum(rows.values())
    return rows


async def test_a_changed_record_keeps_what_it_was(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    runs: list[str] = []
    for title in ("one", "two", "two", "three"):
        write(inbox, a=title)
        fields = {} if runs else SHOP
        runs.append((await ingest("shop", **fields))["run_id"])
    record = await only_record(scientist)
    answer = await viewer.get(f"/data/{record['id']}/history")
    versions = answer.json()
    assert answer.headers["x-total-count"] == "3"
    assert [(v["version"], v["fields"]["title"], v["run_id"]) for v in versions] == [
        (3, "three", runs[3]), (2, "two", runs[1]), (1, "one", runs[0])
    ]  # fmt: skip
    assert versions[0]["valid_to"] is None
    assert [v["valid_to"] for v in versions[1:]] == [v["valid_from"] for v in versions[:2]]
    assert versions[2]["fields"]["metadata"] == record["metadata"]
    raw = f"/data/{record['id']}/raw"
    titles = [
        (await viewer.get(f"{raw}?version={number}")).json()["payload"]["title"]
        for number in (1, 2, 3)
    ]
    assert titles == ["one", "two", "three"]
    assert (await viewer.get(raw)).json()["payload"]["title"] == "three"
    assert (await viewer.get(f"{raw}?version=4")).status_code == 404


async def test_a_history_comes_in_pages(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    for title in "abc":
        write(inbox, a=title)
        await ingest("shop", **(SHOP if title == "a" else {}))
    url = f"/data/{(await only_record(scientist))['id']}/history"
    pages = [(await scientist.get(f"{url}?limit=1&offset={at}")).json() for at in range(4)]
    assert [[v["version"] for v in page] for page in pages] == [[3], [2], [1], []]
    assert (await scientist.get("/data/987/history")).status_code == 404


async def test_history_is_for_those_who_read_data(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/data/1/history")).status_code == 401


async def test_what_vanished_is_not_shown_and_comes_back_as_it_was(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, database: Database
) -> None:
    write(inbox, a="A", b="B")
    await ingest("shop", **SHOP)
    second = (await scientist.get("/data")).json()["data"][1]
    write(inbox, a="A")
    gone = await ingest("shop", full_refresh=True)
    assert gone["records_deleted"] == 1
    page = (await scientist.get("/data?source=shop")).json()
    assert (page["total_count"], [r["source_id"] for r in page["data"]]) == (1, ["a"])
    refused = await scientist.get(f"/data/{second['id']}")
    assert (refused.status_code, "history" in refused.json()["detail"]) == (404, True)
    (version,) = (await scientist.get(f"/data/{second['id']}/history")).json()
    assert version["valid_to"] is not None
    async with database.reading() as session:
        shop = Filters(source="shop")
        parts = [part async for part in reading.batches(session, shop, ["source_id"])]
        assert [[one.source_id for one in part] for part in parts] == [["a"]]
    write(inbox, a="A", b="B")
    back = await ingest("shop")
    found = (await scientist.get(f"/data/{second['id']}")).json()
    assert (found["title"], found["run_id"]) == ("B", back["run_id"])
    assert await count_exactly(database) == {"shop": 2}


async def test_counts_stay_exact_whatever_runs_do(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, database: Database
) -> None:
    write(inbox, a="A", b="B", c="C")
    await ingest("shop", **SHOP, batch_size=2)
    await ingest("other", **SHOP)
    assert await count_exactly(database) == {"shop": 3, "other": 3}
    write(inbox, b="changed", d="D")
    await ingest("shop")
    await ingest("other", full_refresh=True)
    assert await count_exactly(database) == {"shop": 4, "other": 2}
    write(inbox, a="A", c="again")
    await ingest("shop", full_refresh=True)
    await ingest("other")
    assert await count_exactly(database) == {"shop": 2, "other": 4}
    await scientist.delete("/api/v1/sources/shop?records=delete")
    await scientist.delete("/api/v1/sources/other?records=keep")
    assert await count_exactly(database) == {"other": 4}
    await ingest("shop", **SHOP)
    assert await count_exactly(database) == {"shop": 2, "other": 4}


async def test_records_of_an_api_have_their_payload(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda asked: Reply([{"id": 7, "title": "x", "deep": {"a": [1]}}])) as server:
        await ingest("posts", kind="api", url=server.url, primary_key="id")
    record = await only_record(scientist, "posts")
    raw = (await scientist.get(f"/data/{record['id']}/raw")).json()
    assert raw["payload"]["deep"] == {"a": [1]}
