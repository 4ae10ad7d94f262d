"""Files that a web server has: brought whole or not at all, and not at all if nothing is new."""

import errno
import gzip
import os
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core import http, jobs
from astralytiq.core.budgets import Budgets
from astralytiq.core.downloads import Download
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import downloads
from astralytiq.features.ingestion.read_csv import CsvReader
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_csv_runs import dying, records, survive

pytestmark = pytest.mark.anyio

ROWS = b"id,title\n" + b"".join(b"%d,Item %d\n" % (at, at) for at in range(6))
TAG = {"ETag": '"v1"'}
PREVIEW = "/api/v1/sources/preview"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pass_by(seconds: float) -> None: ...

    monkeypatch.setattr(http, "sleep", pass_by)
    monkeypatch.setattr(http, "SHARED", Budgets())


def source(url: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "csv", "url": f"{url}/rows.csv", "primary_key": "id", **fields}


def left_behind(settings: Settings) -> list[Path]:
    return list((settings.home / downloads.FOLDER).iterdir())


def ranged(asked: Asked, content: bytes, tag: str = '"v1"', cut: int | None = None) -> Reply:
    """As a server answers that knows ranges; what is whole breaks off after `cut` bytes."""
    wanted = asked.headers.get("range", "")
    if not wanted or asked.headers.get("if-range") != tag:
        return Reply(content, headers={"ETag": tag}, cut=cut)
    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Reply(content[start:], 206, {"ETag": tag, "Content-Range": span})


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_behind_an_address_becomes_records(
    ingest: Ingest, scientist: httpx2.AsyncClient, settings: Settings, packed: bool
) -> None:
    content = gzip.compress(ROWS) if packed else ROWS
    with serving(lambda asked: Reply(content)) as server:
        run = await ingest("shop", **source(server.url))
    assert (run["error"], counts(run)) == (None, (6, 6, 0, 0))
    assert [record["title"] for record in await records(scientist)][:2] == ["Item 0", "Item 1"]
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert left_behind(settings) == []


async def test_a_file_that_has_not_changed_costs_one_request(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        known = asked.headers.get("if-none-match") == '"v1"'
        return Reply(status=304) if known else Reply(ROWS, headers=TAG)

    with serving(answer) as server:
        first = await ingest("shop", **source(server.url))
        again = await ingest("shop")
        whole = await ingest("shop", full_refresh=True)
    assert [counts(run)[0] for run in (first, again, whole)] == [6, 0, 6]
    assert (again["status"], len(server.asked)) == ("success", 3)


async def test_its_secret_stands_in_the_request_and_nowhere_else(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "k-123")
    auth = {"type": "bearer", "secret": "env:SHOP_KEY"}  # pragma: allowlist secret
    with serving(lambda asked: Reply(ROWS)) as server:
        run = await ingest("shop", **source(server.url, auth=auth))
    assert run["status"] == "success"
    assert server.asked[0].headers["authorization"] == "Bearer k-123"


# What breaks off ---------------------------------------------------------------------------------


async def test_what_breaks_off_is_gone_on_with_where_it_stopped(ingest: Ingest) -> None:
    with serving(lambda asked: ranged(asked, ROWS, cut=30)) as server:
        run = await ingest("shop", **source(server.url))
    assert (run["error"], counts(run)) == (None, (6, 6, 0, 0))
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=30-"]


async def test_what_has_changed_meanwhile_is_read_anew(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    def answer(asked: Asked) -> Reply:
        if len(server.asked) == 1:
            return ranged(asked, ROWS, cut=30)
        return ranged(asked, ROWS.replace(b"Item", b"Ware"), '"v2"')

    with serving(answer) as server:
        run = await ingest("shop", **source(server.url))
    assert counts(run) == (6, 6, 0, 0)
    assert {record["title"][:4] for record in await records(scientist)} == {"Ware"}


@pytest.mark.parametrize(
    "liar",
    [
        {"Content-Range": f"bytes 5-{len(ROWS) - 1}/{len(ROWS)}", **TAG},
        {"Content-Range": f"bytes 30-{len(ROWS) - 1}/{len(ROWS)}", "ETag": '"v2"'},
        {},
    ],
)
async def test_a_part_that_was_not_asked_for_is_not_taken(
    ingest: Ingest, liar: dict[str, str]
) -> None:
    def answer(asked: Asked) -> Reply:
        if "range" in asked.headers:
            return Reply(b"x" * (len(ROWS) - 30), 206, liar)
        return Reply(ROWS, headers=TAG, cut=30 if len(server.asked) == 1 else None)

    with serving(answer) as server:
        run = await ingest("shop", **source(server.url))
    assert (counts(run), len(server.asked)) == ((6, 6, 0, 0), 3)


async def test_a_range_that_is_no_more_is_followed_by_the_whole(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        if "range" in asked.headers:
            return Reply(status=416)
        return Reply(ROWS, headers=TAG, cut=30 if len(server.asked) == 1 else None)

    with serving(answer) as server:
        run = await ingest("shop", **source(server.url))
    assert (counts(run), len(server.asked)) == ((6, 6, 0, 0), 3)


async def test_a_file_that_always_breaks_off_brings_no_row(
    ingest: Ingest, settings: Settings
) -> None:
    with serving(lambda asked: Reply(ROWS, cut=30)) as server:
        run = await ingest("shop", **source(server.url, retry={"attempts": 2}))
    # The job's own attempts come later; nothing was taken for the whole meanwhile.
    assert (run["status"], counts(run), len(server.asked)) == ("in_progress", (0, 0, 0, 0), 2)
    assert left_behind(settings) == []


async def test_a_server_that_says_no_length_is_told_of(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda asked: Reply(ROWS, measured=False)) as server:
        run = await ingest("shop", **source(server.url))
    told = await scientist.get(
        f"/api/v1/etl/runs/{run['run_id']}/events", headers={"Accept": "application/json"}
    )
    assert counts(run) == (6, 6, 0, 0)
    assert [one["details"] for one in told.json() if one["kind"] == "unmeasured"] == [
        {"bytes": len(ROWS)}
    ]


@pytest.mark.parametrize("changed", [False, True])
async def test_after_a_crash_it_goes_on_only_in_the_same_file(
    changed: bool,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = ROWS
    with serving(lambda asked: Reply(content)) as server:
        body = {"name": "shop", **source(server.url, batch_size=2)}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/shop/run")
        with monkeypatch.context() as patch:
            patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 3))
            await survive(resources, run_jobs)
        content = ROWS.replace(b"Item", b"Ware") if changed else ROWS
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert run["status"] == "success"
    before = run["records_processed"] - 6
    assert before == (run["records_updated"] if changed else 0)
    titles = {record["title"][:4] for record in await records(scientist)}
    assert titles == ({"Ware"} if changed else {"Item"})


def always(reply: Reply, asked: Asked) -> Reply:
    return reply


# What is refused ---------------------------------------------------------------------------------


async def test_a_file_over_the_limit_is_refused(
    ingest: Ingest, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(resources.settings.__dict__, "download_limit_mb", 1)
    large = b"id\n" + b"1\n" * (1 << 19)
    for at, measured in enumerate((True, False)):
        reply = Reply(large, measured=measured)
        with serving(partial(always, reply)) as server:
            run = await ingest(f"large{at}", **source(server.url))
        assert (run["status"], run["records_processed"]) == ("failed", 0)
        assert "more than 1 MB" in run["error"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(status=404), "answered 404 Not Found: check the url"),
        (Reply(b"x", headers={"Content-Encoding": "br"}), "sends its file as 'br'"),
        (Reply(status=302, headers={"Location": "http://10.1.2.3/x"}), "leads to a private"),
        (
            Reply(b" <html>Sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
            "answered a web page in place of a file: check the url and auth",
        ),
    ],
)
async def test_what_the_server_cannot_give_fails_the_run_with_words(
    ingest: Ingest, reply: Reply, words: str
) -> None:
    with serving(lambda asked: reply) as server:
        run = await ingest("shop", **source(server.url))
    assert run["status"] == "failed"
    assert words in run["error"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give a path or a url"),
        ({"path": "a.csv", "url": "https://example.org/a.csv"}, "give a path or a url"),
        ({"path": "a.csv", "headers": {"Accept": "text/csv"}}, "need a url"),
        ({"url": "https://example.org/a.csv?api_key=1"}, "looks like a secret"),
        ({"path": "gs://bucket/a.csv"}, "Paths that begin with gs:// are not read"),
    ],
)
async def test_a_source_names_one_place_that_can_be_read(
    scientist: httpx2.AsyncClient, fields: dict[str, Any], words: str
) -> None:
    body = {"name": "shop", "kind": "csv", **fields}
    refused = await scientist.post("/api/v1/sources", json=body)
    assert refused.status_code == 422
    assert words in refused.text


async def test_a_full_disk_is_told_leaves_no_half_file_and_is_tried_again(
    ingest: Ingest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, tries = Download.take, count(1)

    async def take(self: Download, url: httpx2.URL, response: httpx2.Response) -> None:
        if next(tries) > 3:
            await whole(self, url, response)
            return
        self._file.write(b"id,ti")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Download, "take", take)
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    with serving(lambda asked: Reply(ROWS)) as server:
        run = await ingest("shop", **source(server.url))
        assert run["status"] == "failed"
        assert "The disk is full: there is no room in the home's downloads folder" in run["error"]
        assert left_behind(settings) == []
        assert (await ingest("shop"))["status"] == "success"


# Beside the runs ---------------------------------------------------------------------------------


async def test_a_preview_reads_no_more_than_the_beginning(
    scientist: httpx2.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astralytiq.features.ingestion.preview.BEGINNING", 40)
    # What the server says it has is more than may be kept: the beginning is not.
    with serving(lambda asked: Reply(ROWS, cut=60)) as server:
        body = {"name": "shop", **source(server.url)}
        answer = await scientist.post(PREVIEW, params={"limit": 2}, json=body)
    assert answer.status_code == 200, answer.text
    shown = [one["record"]["title"] for one in answer.json()["records"]]
    assert shown == ["Item 0", "Item 1"]
    assert left_behind(settings) == []


async def test_what_a_killed_process_left_is_removed_later(
    ingest: Ingest, settings: Settings
) -> None:
    folder = settings.home / downloads.FOLDER
    folder.mkdir()
    for name in ("old", "new"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / "old", (1, 1))
    (folder / "gone").symlink_to(folder / "nothing")  # as one that is removed while we look
    with serving(lambda asked: Reply(ROWS)) as server:
        await ingest("shop", **source(server.url))
    assert {left.name for left in left_behind(settings)} == {"gone", "new"}
