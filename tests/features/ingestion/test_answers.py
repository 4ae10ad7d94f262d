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


TITLE = "caf\u00e9 \u20ac"
BODY = '[{"id": 1, "title": "' + TITLE + '"}]'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (BODY.encode("utf-16"), "application/json"),
        (BODY.encode("utf-32"), "application/json"),
        (b"\xfe\xff" + BODY.encode("utf-16-be"), "application/json"),
        (BODY.encode("utf-16-le"), "application/json; charset=utf-16"),
        (BODY.encode("utf-16-be"), "application/json"),
        (BODY.encode("utf-32-le"), "application/json"),
        (BODY.encode("utf-32-be"), "application/json"),
        (BODY.encode("cp1252"), "application/json; charset=windows-1252"),
        (BODY.encode("iso8859-15"), 'text/plain; charset="ISO-8859-15"'),
        # What is UTF-8 is that, whatever a server writes over all it has.
        (BODY.encode(), "text/html; charset=iso-8859-1"),
        (BODY.encode(), "application/json; charset=nonsense"),
    ],
)
async def test_an_answer_is_read_in_the_encoding_that_it_has(
    ingest: Ingest, scientist: httpx2.AsyncClient, body: bytes, kind: str
) -> None:
    with serving(lambda _: Reply(body, headers={"Content-Type": kind})) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert run["status"] == "success", run["error"]
    assert [one["title"] for one in (await scientist.get("/data")).json()["data"]] == [TITLE]


@pytest.mark.parametrize(
    ("body", "kind", "words", "asked"),
    [
        (BODY.encode("cp1252"), "application/json", "names no other charset: ask its makers", 1),
        (BODY.encode("cp1252"), "application/json; charset=us-ascii", "text that is not ascii", 1),
        (BODY.encode("utf-16")[:-9], "application/json", "in utf-16, breaks off after", 3),
        (BODY.encode("utf-32")[:-9], "application/json", "in utf-32, breaks off after", 3),
    ],
)
async def test_an_answer_in_no_encoding_is_refused_by_its_name(
    ingest: Ingest, body: bytes, kind: str, words: str, asked: int
) -> None:
    with serving(lambda _: Reply(body, headers={"Content-Type": kind})) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], len(server.asked)) == ("failed", asked)
    assert words in run["error"]


@pytest.mark.parametrize(
    ("body", "kind", "found"),
    [
        (b'{"id": 1}\n{"id": 2}\n', "application/x-ndjson", 2),
        (b'{"id": 1}\r\n\r\n{"id": 2}', "application/json", 2),
        (b'{"id": 1}\n', "application/jsonl; charset=utf-8", 1),
        (b'{"id": 1}\n{"id": 2, "title": "\\ud83d"}', "application/ndjson", 2),
    ],
)
async def test_json_lines_are_read(ingest: Ingest, body: bytes, kind: str, found: int) -> None:
    with serving(lambda _: Reply(body, headers={"Content-Type": kind})) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], counts(run)) == ("success", (found, found, 0, 0)), run["error"]


async def test_json_lines_that_break_off_are_asked_for_again(ingest: Ingest) -> None:
    body = b'{"id": 1}\n{"id": 2, "ti'
    headers = {"Content-Type": "application/x-ndjson"}
    with serving(lambda _: Reply(body, headers=headers)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], len(server.asked)) == ("failed", 3)
    assert "breaks off after 23 bytes" in run["error"]


async def test_a_byte_order_mark_and_no_content_are_read(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.params["page"] == "1":
            return Reply(b'\xef\xbb\xbf[{"id": 1}]')
        return Reply(status=204)

    with serving(answer) as server:
        fields = {"url": server.url, "primary_key": "id", "pagination": {"style": "page"}}
        run = await ingest("items", kind="api", **fields)
    assert (run["status"], counts(run)) == ("success", (1, 1, 0, 0))
