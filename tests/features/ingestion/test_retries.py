"""How a source's server is asked: by POST, at a pace, again after trouble, only for changes."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core import http
from astralytiq.core.budgets import Budgets
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion.models import Checkpoint
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_api_runs import ITEMS, PAGE, SECRET, by_number, source

pytestmark = pytest.mark.anyio

RUNS = "/api/v1/etl/runs"
JSON = {"Accept": "application/json"}
TAGGED = {"ETag": '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, not waited for; and budgets that nobody has spent from."""
    made: list[float] = []

    async def note(seconds: float) -> None:
        made.append(round(seconds, 1))

    monkeypatch.setattr(http, "sleep", note)
    monkeypatch.setattr(http, "SHARED", Budgets())
    return made


async def told(client: httpx2.AsyncClient, run: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{RUNS}/{run['run_id']}/events", headers=JSON)
    assert answer.status_code == 200, answer.text
    return [event for event in answer.json() if event["kind"] == kind]


# POST --------------------------------------------------------------------------------------------


async def test_a_source_may_be_asked_by_post_with_its_page_in_the_body(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        first = (asked.body["p"] - 1) * PAGE
        return Reply(ITEMS[first : first + PAGE])

    fields = {
        "method": "POST",
        "body": {"filter": {"kind": "all"}},
        "pagination": {"style": "page", "param": "p"},
    }
    with serving(answer) as server:
        run = await ingest("items", **source(server.url, **fields))
    assert (run["error"], counts(run)) == (None, (7, 7, 0, 0))
    assert [asked.method for asked in server.asked] == ["POST"] * 4
    assert server.asked[1].body == {"filter": {"kind": "all"}, "p": 2}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"body": {"q": 1}}, "a body needs method POST"),
        ({"method": "POST", "body": {"a": [{"api_key": "x"}]}}, "api_key looks like a secret"),
        ({"method": "PUT"}, "'GET' or 'POST'"),
        ({"headers": {"If-None-Match": "*"}}, "cannot be set"),
        ({"rate_limit": {"requests": 0, "per_seconds": 1}}, "greater than or equal to 1"),
        ({"retry": {"attempts": 11}}, "less than or equal to 10"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_words(
    scientist: httpx2.AsyncClient, fields: dict[str, Any], words: str
) -> None:
    body = {"name": "items", **source("https://api.example.org", **fields)}
    refused = await scientist.post("/api/v1/sources", json=body)
    assert refused.status_code == 422
    assert words in refused.text


# Attempts and paces ------------------------------------------------------------------------------


async def test_attempts_and_waits_are_events_of_the_run(
    ingest: Ingest, scientist: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITEMS_TOKEN", SECRET)
    auth = {"type": "query", "name": "key", "secret": "env:ITEMS_TOKEN"}
    replies = [Reply(ITEMS), Reply(status=503, headers={"Retry-After": "7"})]
    with serving(lambda _: replies.pop()) as server:
        run = await ingest("items", **source(server.url, auth=auth))
    assert run["status"] == "success"
    first, second = await told(scientist, run, "attempt")
    assert first["message"].endswith("/items answered 503, to be asked again in 7.0 s.")
    assert first["details"] == {
        "page": 1, "address": f"{server.url}/items", "attempt": 1, "status": 503,
        "wait_seconds": 7.0,
    }  # fmt: skip
    assert (second["details"]["attempt"], second["details"]["status"]) == (2, 200)
    events = await scientist.get(f"{RUNS}/{run['run_id']}/events", headers=JSON)
    assert [event["kind"] for event in events.json()] == ["started", "attempt", "attempt", "ended"]
    assert SECRET not in events.text


async def test_a_run_that_fails_before_its_first_batch_tells_why(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda _: Reply(status=404)) as server:
        run = await ingest("items", **source(server.url))
    (attempt,) = await told(scientist, run, "attempt")
    (ended,) = await told(scientist, run, "ended")
    assert attempt["details"]["status"] == 404
    assert ended["details"]["status"] == "failed"
    assert run["error"] in ended["message"]


async def test_a_source_is_asked_as_often_as_its_retry_says(ingest: Ingest) -> None:
    with serving(lambda _: Reply(status=500)) as server:
        run = await ingest("items", **source(server.url, retry={"attempts": 1}))
    assert (run["status"], len(server.asked)) == ("in_progress", 1)  # The job tries once more.


async def test_two_sources_share_the_pace_of_their_host(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "SLICE_SECONDS", 600.0)  # Each wait is told as one.
    fields = {
        "pagination": {"style": "page", "param": "p"},
        "rate_limit": {"requests": 4, "per_seconds": 600},
    }
    with serving(by_number) as server:
        await ingest("items", **source(server.url, **fields))
        assert waits == []
        run = await ingest("others", **source(server.url, **fields))
    assert (run["status"], len(waits)) == ("success", 4)
    held = await told(scientist, run, "wait")
    assert [event["details"]["page"] for event in held] == [1, 2, 3, 4]
    assert all(400 < event["details"]["wait_seconds"] <= 600 for event in held)


# Only what has changed ---------------------------------------------------------------------------


def if_changed(asked: Asked) -> Reply:
    if asked.headers.get("if-none-match") == TAGGED["ETag"]:
        return Reply(status=304)
    return Reply(ITEMS, headers=TAGGED)


async def test_what_has_not_changed_is_not_read_again(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(if_changed) as server:
        await ingest("items", **source(server.url))
        second = await ingest("items")
        third = await ingest("items")
        server.answer = lambda _: Reply(ITEMS[:1], headers={"ETag": '"v2"'})
        changed = await ingest("items")
    for run in (second, third):
        assert (run["status"], counts(run)) == ("success", (0, 0, 0, 0))
        (event,) = await told(scientist, run, "not_modified")
        assert "nothing to do" in event["message"]
    assert counts(changed) == (1, 0, 0, 0)
    sent = [asked.headers for asked in server.asked]
    assert "if-none-match" not in sent[0]
    assert sent[2]["if-modified-since"] == TAGGED["Last-Modified"]
    assert (await scientist.get("/data")).json()["total_count"] == 7


async def test_a_full_refresh_and_another_reading_ask_for_everything(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(if_changed) as server:
        await ingest("items", **source(server.url))
        full = await ingest("items", full_refresh=True)
        mapping = {"mapping": {"title": "id"}}
        await scientist.patch("/api/v1/sources/items", json=mapping)
        remapped = await ingest("items")
    assert counts(full) == (7, 0, 0, 0)
    assert counts(remapped) == (7, 0, 7, 0)
    assert not [asked for asked in server.asked if "if-none-match" in asked.headers]


async def test_after_a_failed_run_everything_is_asked_for(
    ingest: Ingest, resources: Resources
) -> None:
    with serving(if_changed) as server:
        await ingest("items", **source(server.url))
        server.answer = lambda _: Reply(b"no JSON")
        failed = await ingest("items")
        async with resources.database.reading() as session:
            assert await session.scalar(select(Checkpoint.state)) == {}
        server.answer = if_changed
        healed = await ingest("items")
    assert (failed["status"], healed["status"]) == ("failed", "success")
    assert counts(healed) == (7, 0, 0, 0)


async def test_of_several_pages_none_is_taken_as_unchanged(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(by_number(asked).body, headers=TAGGED)

    with serving(answer) as server:
        fields = {"pagination": {"style": "page", "param": "p"}}
        await ingest("items", **source(server.url, **fields))
        await ingest("items")
    assert not [asked for asked in server.asked if "if-none-match" in asked.headers]
