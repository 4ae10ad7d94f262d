"""A proposed source, looked at before it is there: read as a run reads it, and nothing kept."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core import http
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion import preview
from astralytiq.features.ingestion.models import Checkpoint, DataRecord, RawApi, RawCsv, Reject, Run
from tests.features.ingestion.servers import Asked, Reply, Server, serving

pytestmark = pytest.mark.anyio

PREVIEW = "/api/v1/sources/preview"
SHOP: dict[str, Any] = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}


@pytest.fixture
def server() -> Iterator[Server]:
    def two_a_page(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 1))
        return Reply([{"id": page * 10 + n, "name": f"n{n}"} for n in (0, 1)])

    with serving(two_a_page) as server:
        yield server


def api(server: Server, **fields: Any) -> dict[str, Any]:
    body = {"name": "posts", "kind": "api", "url": f"{server.url}/posts", "primary_key": "id"}
    return body | {"mapping": {"title": "name"}} | fields


async def test_raw_stands_beside_normalised_and_rejects_say_why(
    scientist: httpx2.AsyncClient, inbox: Path, resources: Resources
) -> None:
    lines = "id,title,price\n1,a,2.5\n,b,1\n3,c\n4,old,1\n4,new,1\n"
    (inbox / "shop.csv").write_text(lines)
    answer = await scientist.post(PREVIEW, json=SHOP)
    assert answer.status_code == 200
    good, keyless, ragged, old, new = answer.json()["records"]
    assert good["raw"] == {"id": "1", "title": "a", "price": "2.5"}
    assert (good["record"]["source_id"], good["record"]["metadata"]["price"]) == ("1", 2.5)
    assert good["reason"] is None
    assert (keyless["record"], keyless["reason"]) == (None, "primary key 'id' is missing or empty")
    assert ragged["record"] is None
    assert "same primary key" in old["reason"]
    assert new["record"]["title"] == "new"
    async with resources.database.reading() as session:
        for table in (Run, RawCsv, RawApi, DataRecord, Reject, Checkpoint):
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    assert (await scientist.get("/api/v1/sources")).json() == []


@pytest.mark.parametrize(
    ("path", "words"),
    [("a" * 300 + ".csv", "File name too long"), ("data/**x.csv", "** must stand alone")],
)
async def test_a_path_that_no_file_can_have_is_refused_with_words(
    scientist: httpx2.AsyncClient, path: str, words: str
) -> None:
    refused = await scientist.post(PREVIEW, json=SHOP | {"path": path})
    assert (refused.status_code, words in refused.json()["detail"]) == (422, True)


async def test_pages_are_asked_for_only_until_there_are_enough(
    scientist: httpx2.AsyncClient, server: Server
) -> None:
    body = api(server, pagination={"style": "page"})
    answer = await scientist.post(f"{PREVIEW}?limit=3", json=body)
    ids = [one["record"]["source_id"] for one in answer.json()["records"]]
    assert ids == ["10", "11", "20"]
    assert len(server.asked) == 2
    for limit in (0, 51):
        assert (await scientist.post(f"{PREVIEW}?limit={limit}", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(status=404), "check the url"),
        (Reply(status=503), "when the source is up"),
        (Reply(b"<html>"), "did not answer valid JSON"),
        (Reply([{"id": 1, "text": "x" * (1 << 20)}]), "records_path"),
    ],
)
async def test_what_is_wrong_with_the_source_is_said_with_a_remedy(
    scientist: httpx2.AsyncClient,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    reply: Reply,
    words: str,
) -> None:
    monkeypatch.setattr(http, "BASE_SECONDS", 0.0)
    server.answer = lambda _: reply
    answer = await scientist.post(PREVIEW, json=api(server))
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_a_source_that_is_too_slow_is_given_up(
    scientist: httpx2.AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_enough = Event()

    def late(_: Asked) -> Reply:
        asked_enough.wait(10)
        return Reply([])

    server.answer = late
    monkeypatch.setattr(preview, "SECONDS", 0.1)
    answer = await scientist.post(PREVIEW, json=api(server))
    asked_enough.set()
    assert answer.status_code == 422
    assert "within 0.1 s" in answer.json()["detail"]


async def test_an_answer_holds_no_more_than_people_read(
    scientist: httpx2.AsyncClient, server: Server
) -> None:
    server.answer = lambda _: Reply([{"id": n, "text": "x" * 400_000} for n in range(5)])
    answer = await scientist.post(PREVIEW, json=api(server))
    assert len(answer.json()["records"]) == 2


async def test_what_is_nested_without_end_is_a_reject_here_too(
    scientist: httpx2.AsyncClient, server: Server
) -> None:
    server.answer = lambda _: Reply(b'[{"id": 1, "a": ' + b"[" * 400 + b"]" * 400 + b"}]")
    answer = await scientist.post(PREVIEW, json=api(server))
    assert answer.status_code == 200
    (only,) = answer.json()["records"]
    assert "nested more than" in only["reason"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "inner", "kind": "api", "url": "http://169.254.169.254/latest"},
        {"name": "inner", "kind": "api", "url": "http://10.0.0.1/"},
        {"name": "inner", "kind": "csv", "path": "/etc/passwd"},
        {"name": "inner", "kind": "csv", "path": "../secrets.csv"},
    ],
)
async def test_20_a_preview_reaches_nothing_that_a_run_may_not(
    scientist: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    answer = await scientist.post(PREVIEW, json=body)
    assert answer.status_code == 422
    assert "root:" not in answer.text


async def test_only_those_who_may_change_sources_preview_them(
    client: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    for caller, status in ((client, 401), (viewer, 403)):
        assert (await caller.post(PREVIEW, json=SHOP)).status_code == status
