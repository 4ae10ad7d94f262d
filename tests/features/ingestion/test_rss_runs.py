"""Feeds become records, each entry once."""

import gzip
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.models import RawRss
from astralytiq.features.ingestion.preparing import Preparer
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_csv_runs import dying, records, survive

pytestmark = pytest.mark.anyio

SOURCES = "/api/v1/sources"


def item(at: int, **fields: str) -> str:
    said = {"guid": f"id-{at}", "title": f"Item {at}", "link": f"/{at}", **fields}
    return "<item>" + "".join(f"<{name}>{text}</{name}>" for name, text in said.items()) + "</item>"


def feed(*items: str) -> Reply:
    text = f'<rss version="2.0"><channel><title>News</title>{"".join(items)}</channel></rss>'
    return Reply(text.encode(), headers={"Content-Type": "application/rss+xml"})


def source(url: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "rss", "url": f"{url}/feed", **fields}


async def test_a_feed_becomes_records(ingest: Ingest, scientist: httpx2.AsyncClient) -> None:
    told = {"pubDate": "Sat, 31 Jan 2026 14:00:00 +0200", "description": "Short", "category": "A"}
    with serving(lambda _: feed(item(1, **told), item(2))) as server:
        run = await ingest("news", **source(server.url))
        again = await ingest("news")
        (asked, _) = server.asked
    assert (run["status"], run["error"], counts(run)) == ("success", None, (2, 2, 0, 0))
    assert counts(again) == (2, 0, 0, 0)
    assert "application/rss+xml" in asked.headers["accept"]
    first, second = await records(scientist, "news")
    told = {name: first[name] for name in ("source_id", "title", "description", "category")}
    assert told == {
        "source_id": "id-1", "title": "Item 1", "description": "Short", "category": "A"
    }  # fmt: skip
    assert (first["published_at"], first["url"]) == ("2026-01-31T12:00:00Z", f"{server.url}/1")
    assert second["published_at"] is None
    raw = (await scientist.get(f"/data/{first['id']}/raw")).json()
    assert raw["payload"]["published"] == "Sat, 31 Jan 2026 14:00:00 +0200"


async def test_a_mapping_changes_what_it_names_only(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda _: feed(item(1, description="Short"))) as server:
        fields = {"mapping": {"title": "summary"}, "primary_key": "link"}
        await ingest("news", **source(server.url, **fields))
    (record,) = await records(scientist, "news")
    assert (record["title"], record["url"]) == ("Short", f"{server.url}/1")
    assert record["source_id"] == f"{server.url}/1"
    shown = (await scientist.get(f"{SOURCES}/news")).json()
    assert shown["mapping"]["url"] == "link"


async def test_an_ill_formed_feed_loses_nothing_and_says_so(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(1), item(2, title="Fish & chips"), item(3, pubDate="soon"), "<item><gui", item(4)]
    with serving(lambda _: feed(*items)) as server:
        run = await ingest("news", **source(server.url))
    assert (run["status"], counts(run)) == ("success", (5, 3, 0, 2))
    titles = [record["title"] for record in await records(scientist, "news")]
    assert titles == ["Item 1", "Fish & chips", "Item 4"]
    rejects = (await scientist.get("/api/v1/etl/rejects")).json()
    assert [reject["raw_position"] for reject in rejects] == [2, 3]
    assert "'soon' is not a time" in rejects[0]["reason"]
    assert rejects[1]["payload"] == {"text": "<item><gui"}
    events = await scientist.get(f"/api/v1/etl/runs/{run['run_id']}/events")
    assert "The feed is not well-formed: line 1" in events.text


async def test_dying_between_batches_loses_and_doubles_no_entry(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(lambda _: feed(*map(item, range(7)))) as server:
        body = {"name": "news", "batch_size": 3, **source(server.url)}
        await scientist.post(SOURCES, json=body)
        started = await scientist.post(f"{SOURCES}/news/run")
        with monkeypatch.context() as patch:
            prepare = Preparer.prepare
            patch.setattr(Preparer, "prepare", dying(prepare, 2))
            await survive(resources, run_jobs)
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (7, 7, 0, 0))
    ids = {record["source_id"] for record in await records(scientist, "news")}
    assert ids == {f"id-{at}" for at in range(7)}
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.sum(RawRss.record_count))) == 7


async def test_an_unchanged_feed_is_not_read_again(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"v1"':
            return Reply(status=304)
        found = feed(item(1))
        return Reply(found.body, headers={**found.headers, "ETag": '"v1"'})

    with serving(answer) as server:
        first = await ingest("news", **source(server.url))
        again = await ingest("news")
    assert (counts(first), counts(again)) == ((1, 1, 0, 0), (0, 0, 0, 0))
    assert again["status"] == "success"


async def test_a_packed_feed_is_unpacked(ingest: Ingest) -> None:
    with serving(lambda _: Reply(gzip.compress(feed(item(1)).content))) as server:
        run = await ingest("news", **source(server.url))
    assert counts(run) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Sign in</body></html>", "is not a feed: it holds neither RSS"),
        (b"", "is not a feed"),
        (gzip.compress(bytes(17 << 20)), "unpacks to more than"),
        (gzip.compress(b"<rss>")[:-6], "it is cut off"),
        (bytes(17 << 20), "answers more than 16 MB"),
    ],
    ids=["html", "nothing", "bomb", "cut", "large"],
)
async def test_22_what_is_no_feed_fails_the_run_in_plain_words(
    ingest: Ingest, body: bytes, words: str
) -> None:
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("news", **source(server.url))
    assert run["status"] == "failed"
    assert words in run["error"]


async def test_20_a_feed_at_a_private_address_is_refused(
    scientist: httpx2.AsyncClient, ingest: Ingest
) -> None:
    run = await ingest("news", kind="rss", url="http://10.0.0.1/feed")
    assert run["status"] == "failed"
    assert "private address" in run["error"]
    secret = source("http://example.org", headers={"Authorization": "Bearer x"})
    refused = await scientist.post(SOURCES, json={"name": "other", **secret})
    assert refused.status_code == 422
