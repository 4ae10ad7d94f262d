"""Answers of web interfaces that lead in a circle, break off, or are not quite JSON."""

from itertools import count
from typing import Any

import httpx2
import pytest

from astralytiq.core import jobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Answer, Asked, Reply, serving

pytestmark = pytest.mark.anyio

ITEMS = [{"id": at} for at in range(3)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)


def cursors_in_a_circle(asked: Asked) -> Reply:
    following = {"": "b", "b": "c", "c": "b"}[asked.params.get("cursor", "")]
    return Reply({"items": ITEMS, "next": following})


def links_in_a_circle(asked: Asked) -> Reply:
    page = int(asked.params.get("page", "1"))
    headers = {"Link": f'</items?page={page % 2 + 1}>; rel="next"'}
    return Reply([{"id": page}], headers=headers)


def one_page_at_another_time(moments: "count[int]") -> Answer:
    return lambda _: Reply({"items": ITEMS, "asked_at": next(moments)})


CIRCLES: dict[str, tuple[Answer, dict[str, Any], str]] = {
    "cursor": (
        cursors_in_a_circle,
        {"records_path": "items", "pagination": {"style": "cursor", "cursor_path": "next"}},
        "leads back to a page that has been read already",
    ),
    "link": (
        links_in_a_circle,
        {"pagination": {"style": "link"}},
        "leads back to a page that has been read already",
    ),
    "page": (
        one_page_at_another_time(count()),
        {"records_path": "items", "pagination": {"style": "page"}},
        "answers the same records again and again",
    ),
}


@pytest.mark.parametrize("style", CIRCLES)
async def test_a_server_without_an_end_ends_the_run(ingest: Ingest, style: str) -> None:
    answer, fields, words = CIRCLES[style]
    with serving(answer) as server:
        url = f"{server.url}/items"
        run = await ingest("items", kind="api", url=url, primary_key="id", **fields)
        assert run["status"] == "failed"
        assert words in run["error"]
        assert len(server.asked) <= 40


@pytest.mark.parametrize(
    ("body", "words", "asked"),
    [
        (b"", "its answer is empty", 3),
        (b'[{"id": 1}, {"id": 2', "its answer breaks off after 20 bytes", 3),
        (b'[{"id": NaN}]', "NaN is no number (byte 8): check the url", 1),
        (b'[{"id": -Infinity}]', "Infinity is no number (byte 9)", 1),
        (b'[{"id": 1e999}]', "Number out of range", 1),
        (b'[{"id": "caf\xe9"}]', "of a text is not UTF-8", 1),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deeply", 1),
        (b'{"id": 1}\n[2]', "trailing characters (byte 11)", 1),
        (b" <!doctype html><p>Sign in", "it is a web page, or XML: check the url and auth", 1),
    ],
)
async def test_the_fault_of_an_answer_is_named_and_what_may_pass_is_tried_again(
    ingest: Ingest, body: bytes, words: str, asked: int
) -> None:
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert run["status"] == "failed"
    assert "did not answer valid JSON" in run["error"]
    assert words in run["error"]
    assert len(server.asked) == asked


async def test_half_an_emoji_costs_neither_its_record_nor_the_page(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    body = rb'[{"id": 1, "title": "cut \ud83d"}, {"id": 2, "title": "\ud83d\ude00 \\ud83d"}]'
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], counts(run)) == ("success", (2, 2, 0, 0))
    found = (await scientist.get("/data")).json()["data"]
    assert {one["title"] for one in found} == {"cut \ufffd", "\U0001f600 \\ud83d"}
    events = await scientist.get(
        f"/api/v1/etl/runs/{run['run_id']}/events", headers={"Accept": "application/json"}
    )
    (mended,) = [one for one in events.json() if one["kind"] == "mended"]
    assert mended["details"] == {"page": 1, "letters": 1}


PATH = {"records_path": "data"}
PAGED = {"pagination": {"style": "page"}}
FULL = [[{"id": 1}], [{"id": 2}], []]


@pytest.mark.parametrize(
    ("wrong", "fields", "words"),
    [
        # GraphQL and many others tell an error with status 200.
        ({"data": None, "errors": [{"message": "x"}]}, PATH, "with an error (its fields: data, er"),
        ({"error": "too many requests"}, {}, "with an error (its fields: error)"),
        (Reply({"state": "running"}, status=202), {}, "status 202: it may not be ready yet"),
    ],
)
@pytest.mark.parametrize("lasting", [False, True])
async def test_an_error_told_as_a_page_is_no_end(
    ingest: Ingest, wrong: Any, fields: dict[str, Any], words: str, lasting: bool
) -> None:
    """It would be a success with half the records, and a full refresh would delete the others."""
    told = count()

    def answer(asked: Asked) -> Reply:
        page = int(asked.params["page"])
        if page == 2 and (next(told) == 0 or lasting):
            return wrong if isinstance(wrong, Reply) else Reply(wrong)
        return Reply({"data": FULL[page - 1], "errors": []} if fields else FULL[page - 1])

    with serving(answer) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id", **PAGED, **fields)
    if lasting:
        assert (run["status"], counts(run)[0]) == ("failed", 1)
        assert words in run["error"]
    else:
        assert (run["status"], counts(run)) == ("success", (2, 2, 0, 0)), run["error"]


async def test_a_page_that_has_changed_its_shape_is_told(ingest: Ingest) -> None:
    pages = [[{"id": 1}], {"rows": [{"id": 2}]}]
    with serving(lambda asked: Reply(pages[int(asked.params["page"]) - 1])) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id", **PAGED)
    assert "a page is not a list, as the first was (its fields: rows)" in run["error"]


async def test_records_with_one_key_in_a_page_are_told(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    page = [{"id": 1, "title": "a"}, {"id": "1", "title": "b"}, {"id": 2}]
    with serving(lambda _: Reply(page)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], counts(run)) == ("success", (3, 2, 0, 0))
    events = await scientist.get(
        f"/api/v1/etl/runs/{run['run_id']}/events", headers={"Accept": "application/json"}
    )
    (told,) = [one for one in events.json() if one["kind"] == "repeated"]
    assert told["message"].startswith("1 of 3 records had the primary key of a later one")
    assert told["details"] == {"repeated": 1}


async def test_a_page_that_does_not_come_is_named(ingest: Ingest) -> None:
    retry = {"attempts": 1}
    with serving(
        lambda asked: Reply([{"id": 1}]) if asked.params["page"] == "1" else Reply(status=500)
    ) as server:
        run = await ingest(
            "items", kind="api", url=server.url, primary_key="id", retry=retry, **PAGED
        )
    assert run["error"].startswith(f"Page 2: {server.url}/ answered 500. That is its own fault")


async def test_json_lines_in_another_encoding_are_read(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    body = '{"id": 1, "title": "caf\u00e9"}\n{"id": 2}'.encode("utf-16")
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], counts(run)) == ("success", (2, 2, 0, 0))
    assert (await scientist.get("/data")).json()["data"][0]["title"] == "caf\u00e9"


async def test_a_byte_order_mark_and_no_content_are_read(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.params["page"] == "1":
            return Reply(b'\xef\xbb\xbf[{"id": 1}]')
        return Reply(status=204)

    with serving(answer) as server:
        fields = {"url": server.url, "primary_key": "id", "pagination": {"style": "page"}}
        run = await ingest("items", kind="api", **fields)
    assert (run["status"], counts(run)) == ("success", (1, 1, 0, 0))
