"""Web interfaces become records, page after page."""

import base64
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core import http, jobs
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.features.ingestion import pipeline
from astralytiq.features.ingestion.models import RawApi
from astralytiq.features.ingestion.preparing import Preparer
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Answer, Asked, Reply, serving
from tests.features.ingestion.test_csv_runs import Killed, dying, survive

pytestmark = pytest.mark.anyio

ITEMS = [{"id": at, "name": f"Item {at}", "owner": {"login": "ann"}} for at in range(7)]
PAGE = 3
JSON = {"accept": "application/json"}
SECRET = "hunter2-hunter2"


def by_number(asked: Asked) -> Reply:
    first = (int(asked.params["p"]) - 1) * PAGE
    return Reply(ITEMS[first : first + PAGE])


def by_offset(asked: Asked) -> Reply:
    first = int(asked.params["offset"])
    return Reply({"data": {"items": ITEMS[first : first + min(PAGE, int(asked.params["limit"]))]}})


def by_cursor(asked: Asked) -> Reply:
    first = int(asked.params.get("after", "0"))
    following = str(first + PAGE) if first + PAGE < len(ITEMS) else None
    return Reply({"items": ITEMS[first : first + PAGE], "meta": {"next": following}})


def by_link(asked: Asked) -> Reply:
    first = int(asked.params.get("from", "0"))
    more = {"Link": f'</items?from={first + PAGE}>; rel="next"'} if first + PAGE < 7 else {}
    return Reply(ITEMS[first : first + PAGE], headers=more)


STYLES: dict[str, tuple[Answer, dict[str, Any]]] = {
    "none": (lambda _: Reply(ITEMS), {}),
    "page": (by_number, {"pagination": {"style": "page", "param": "p"}}),
    "offset": (
        by_offset,
        {
            "records_path": "data.items",
            "pagination": {"style": "offset", "size_param": "limit", "size": 50},
        },
    ),
    "cursor": (
        by_cursor,
        {
            "records_path": "items",
            "pagination": {"style": "cursor", "param": "after", "cursor_path": "meta.next"},
        },
    ),
    "link": (by_link, {"pagination": {"style": "link"}}),
}


def source(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "api",
        "url": f"{url}/items",
        "primary_key": "id",
        "mapping": {"title": "name", "author": "owner.login"},
        **fields,
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that stumble are asked again at once."""
    monkeypatch.setattr(http, "pause", lambda *_: 0.0)


@pytest.mark.parametrize("style", STYLES)
async def test_every_style_of_paging_brings_every_record_once(
    ingest: Ingest, scientist: httpx2.AsyncClient, style: str
) -> None:
    answer, fields = STYLES[style]
    with serving(answer) as server:
        run = await ingest("items", **source(server.url, **fields))
        again = await ingest("items")
    assert (run["status"], run["error"], counts(run)) == ("success", None, (7, 7, 0, 0))
    assert counts(again) == (7, 0, 0, 0)
    data = (await scientist.get("/data")).json()["data"]
    assert [record["title"] for record in data] == [item["name"] for item in ITEMS]
    assert (data[0]["author"], data[0]["metadata"]) == ("ann", {"id": 0})
    raw = (await scientist.get(f"/data/{data[4]['id']}/raw")).json()
    assert raw["payload"] == ITEMS[4]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("at", [2, 3])
async def test_dying_between_batches_resumes_in_every_style(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    style: str,
    at: int,
) -> None:
    answer, fields = STYLES[style]
    prepare = Preparer.prepare
    with serving(answer) as server:
        body = {"name": "items", "batch_size": 2, **source(server.url, **fields)}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patch:
            patch.setattr(Preparer, "prepare", dying(prepare, at))
            await survive(resources, run_jobs)
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (7, 7, 0, 0))
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.sum(RawApi.record_count))) == 7


async def test_a_page_that_changed_meanwhile_is_read_from_its_top(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(lambda _: Reply(ITEMS)) as server:
        body = {"name": "items", "batch_size": 4, **source(server.url)}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patch:
            patch.setattr(Preparer, "prepare", dying(Preparer.prepare, 2))
            await survive(resources, run_jobs)
        server.answer = lambda _: Reply([{"id": 99, "name": "New"}, *ITEMS])
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (12, 8, 0, 0))
    assert (await scientist.get("/data")).json()["total_count"] == 8


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"params": {"kind": "x"}}, 7),
        ({"pagination": {"style": "offset", "start": 1}}, 6),
        ({"records_path": "@"}, 7),
        ({"mapping": {"title": "id"}, "batch_size": 1, "rate_limit": None}, 3),
    ],
)
async def test_an_attempt_goes_on_only_if_the_source_is_read_in_the_same_way(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    read: int,
) -> None:
    """Four records were stored when the worker died, and somebody changed the source."""

    def answer(asked: Asked) -> Reply:
        first = int(asked.params["offset"])
        return Reply(ITEMS[first : first + 2])

    with serving(answer) as server:
        paging = {"style": "offset"}
        body = {"name": "items", "batch_size": 2, **source(server.url, pagination=paging)}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patch:
            patch.setattr(pipeline.Pipeline, "store", dying(pipeline.Pipeline.store, 3))
            await survive(resources, run_jobs)
        changed = await scientist.patch("/api/v1/sources/items", json=change)
        assert changed.status_code == 200, changed.text
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], run["records_processed"]) == ("success", 4 + read)


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "bearer"}, ("authorization", f"Bearer {SECRET}")),
        (
            {"type": "basic", "username": "ann"},
            ("authorization", "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()),
        ),
        ({"type": "header", "name": "X-Token"}, ("x-token", SECRET)),
        ({"type": "query", "name": "key"}, ("key", SECRET)),
    ],
)
async def test_26_the_secret_is_sent_with_every_page_and_never_shown(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    auth: dict[str, Any],
    sent: tuple[str, str],
) -> None:
    monkeypatch.setenv("ITEMS_TOKEN", SECRET)
    name, value = sent
    fields = {"auth": auth | {"secret": "env:ITEMS_TOKEN"}, "pagination": {"style": "link"}}
    with serving(by_link) as server:
        run = await ingest("items", **source(server.url, **fields))
        assert [(a.headers | a.params).get(name) for a in server.asked] == [value] * 3
        server.answer = lambda _: Reply(status=403)
        failed = await ingest("items")
    assert (run["status"], failed["status"]) == ("success", "failed")
    for path in (
        "/api/v1/sources", "/api/v1/sources/items", "/api/v1/etl/runs", "/data", "/stats",
        "/data/1/raw", f"/api/v1/jobs/{failed['job_id']}",
    ):  # fmt: skip
        answer = await scientist.get(path)
        assert answer.status_code == 200
        assert SECRET not in answer.text
        assert base64.b64encode(f"ann:{SECRET}".encode()).decode() not in answer.text


async def test_a_secret_that_is_not_there_is_named(ingest: Ingest) -> None:
    auth = {"type": "bearer", "secret": "env:NO_SUCH_TOKEN"}
    with serving(lambda _: Reply(ITEMS)) as server:
        run = await ingest("items", **source(server.url, auth=auth))
    assert run["status"] == "failed"
    assert "'NO_SUCH_TOKEN' is not set" in run["error"]
    assert not server.asked


async def test_a_next_page_elsewhere_gets_no_sign_in(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITEMS_TOKEN", SECRET)
    auth = {"type": "bearer", "secret": "env:ITEMS_TOKEN"}
    with serving(lambda _: Reply(ITEMS)) as other:
        link = {"Link": f'<{other.url}/steal>; rel="next"'}
        with serving(lambda _: Reply(ITEMS, headers=link)) as server:
            fields = source(server.url, auth=auth, pagination={"style": "link"})
            run = await ingest("items", **fields)
    assert "on another server" in run["error"]
    assert not other.asked


async def test_20_a_private_address_is_refused(ingest: Ingest) -> None:
    for name, host in (("inner", "10.0.0.1"), ("meta", "169.254.169.254")):
        run = await ingest(name, **source(f"http://{host}"))
        assert run["status"] == "failed"
        assert "private address" in run["error"]


@pytest.mark.parametrize(
    ("reply", "fields", "words"),
    [
        (Reply(status=404), {}, "/items answered 404 Not Found: check the url"),
        (Reply(b"<html>"), {}, "did not answer valid JSON"),
        (Reply(b'[{"id": NaN}]'), {}, "did not answer valid JSON"),
        (Reply({"data": [], "total": 0}), {}, "set records_path (its fields: data, total)"),
        (Reply({"data": []}), {"records_path": "items"}, "finds nothing"),
    ],
)
async def test_what_cannot_work_fails_at_once_with_words(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    reply: Reply,
    fields: dict[str, Any],
    words: str,
) -> None:
    with serving(lambda _: reply) as server:
        run = await ingest("items", **source(server.url, **fields))
    assert run["status"] == "failed"
    assert words in run["error"]
    job = (await scientist.get(f"/api/v1/jobs/{run['job_id']}")).json()
    assert (job["status"], job["attempts"], job["error"]) == ("failed", 1, run["error"])


@pytest.mark.parametrize("lasting", [False, True])
async def test_a_page_in_anothers_place_is_asked_for_again_later(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    lasting: bool,
) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    pages = [ITEMS[:3], ITEMS[3:5], ITEMS[5:], []]
    asked: Counter[int] = Counter()

    def answer(question: Asked) -> Reply:
        page = int(question.params["page"])
        asked[page] += 1
        wrong = page == 2 and (lasting or asked[page] == 1)
        return Reply(pages[page - 2 if wrong else page - 1])

    with serving(answer) as server:
        body = {"name": "items", **source(server.url, pagination={"style": "page"})}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/items/run")
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    if lasting:
        assert run["status"] == "failed"
        assert "answers the same page again and again" in run["error"]
        assert (await scientist.get("/data")).json()["total_count"] == 3
    else:
        assert (run["status"], counts(run)) == ("success", (7, 7, 0, 0))


# The end of the pages --------------------------------------------------------------------------


def ending_with(status: int, answers: Counter[str], stumbles: Callable[[str], bool]) -> Answer:
    """Two full pages and a half, then `status`; and where `stumbles` says so before."""

    def answer(asked: Asked) -> Reply:
        number = asked.params["p"]
        answers[number] += 1
        page = by_number(asked)
        return Reply(status=status) if stumbles(number) or not page.body else page

    return answer


@pytest.mark.parametrize("status", [404, 400, 410, 416, 422])
async def test_a_page_behind_the_last_that_is_refused_ends_the_run_if_its_source_says_so(
    ingest: Ingest, scientist: httpx2.AsyncClient, status: int
) -> None:
    answers: Counter[str] = Counter()
    paging = {"style": "page", "param": "p"}
    with serving(ending_with(status, answers, lambda _: False)) as server:
        failed = await ingest("items", **source(server.url, pagination=paging))
        assert (failed["status"], counts(failed)) == ("failed", (7, 7, 0, 0))
        assert f"answered {status} for page 4, after pages that it gave." in failed["error"]
        assert f"set pagination.end_statuses to [{status}]" in failed["error"]
        answers.clear()
        changed = {"pagination": {**paging, "end_statuses": [status]}}
        assert (await scientist.patch("/api/v1/sources/items", json=changed)).status_code == 200
        run = await ingest("items")
    assert (run["status"], run["records_unchanged"]) == ("success", 7)
    assert answers == {"1": 2, "2": 1, "3": 1, "4": 2}  # It was made sure of.
    events = (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}/events", headers=JSON)).json()
    assert [one["message"] for one in events if one["kind"] == "end"] == [
        f"Page 4: {status} means that there are no more pages."
    ]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lasting", [False, True])
async def test_a_page_in_the_middle_that_is_not_there_for_a_while_ends_nothing(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    """Once, or all pages for longer than the run tries: no record may be taken for vanished."""
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    answers: Counter[str] = Counter()
    down = False

    def stumbles(number: str) -> bool:
        nonlocal down
        down = down or (number == "2" and answers[number] == 2)
        return down if lasting else number == "2" and answers[number] == 2

    paging = {"style": "page", "param": "p", "end_statuses": [404]}
    with serving(ending_with(404, answers, stumbles)) as server:
        await ingest("items", **source(server.url, pagination=paging))
        run = await ingest("items", full_refresh=True)
    assert run["records_deleted"] == 0
    if lasting:
        assert "404 for page 2, and now 404 for its first page, too" in run["error"]
    else:
        assert (run["status"], run["records_unchanged"]) == ("success", 7)


async def test_a_sign_in_that_expires_on_the_way_is_told_and_the_job_goes_on_there(
    ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TEST_SHOP_KEY", "old")
    answers: list[str] = []

    def answer(asked: Asked) -> Reply:
        answers.append(asked.params["p"])
        expired = asked.headers["authorization"] == "Bearer old" and asked.params["p"] == "3"
        return Reply(status=401) if expired else by_number(asked)

    auth = {"type": "bearer", "secret": "env:TEST_SHOP_KEY"}  # pragma: allowlist secret
    paging = {"style": "page", "param": "p"}
    with serving(answer) as server:
        failed = await ingest("items", **source(server.url, pagination=paging, auth=auth))
        assert "401 for page 3, after pages that it gave: the sign-in may" in failed["error"]
        monkeypatch.setenv("TEST_SHOP_KEY", "new")
        await scientist.post(f"/api/v1/jobs/{failed['job_id']}/retry")
        await run_jobs()
    run = (await scientist.get(f"/api/v1/etl/runs/{failed['run_id']}")).json()
    assert (run["status"], counts(run)) == ("success", (7, 7, 0, 0))
    assert answers == ["1", "2", "3", "3", "4"]


async def test_a_cursor_that_its_source_has_forgotten_is_told(ingest: Ingest) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(status=410) if "after" in asked.params else by_cursor(asked)

    with serving(answer) as server:
        failed = await ingest("items", **source(server.url, **STYLES["cursor"][1]))
    assert "410 for page 2" in failed["error"]
    assert "it may have forgotten its place. Run it again" in failed["error"]


@pytest.mark.parametrize(
    "paging",
    [
        {"style": "link", "end_statuses": [404]},
        {"end_statuses": [404]},
        {"style": "page", "end_statuses": [401]},
        {"style": "page", "end_statuses": [500]},
    ],
)
async def test_a_status_that_cannot_mean_the_end_is_refused(
    scientist: httpx2.AsyncClient, paging: dict[str, Any]
) -> None:
    body = {"name": "items", **source("https://example.org", pagination=paging)}
    refused = await scientist.post("/api/v1/sources", json=body)
    assert (refused.status_code, "end_statuses" in refused.text) == (422, True)


@pytest.mark.usefixtures("quick")
async def test_a_server_that_stumbles_is_asked_again(ingest: Ingest) -> None:
    troubles = [Reply(status=500), Reply(status=429, headers={"Retry-After": "0"})]
    with serving(lambda _: troubles.pop() if troubles else Reply(ITEMS)) as server:
        run = await ingest("items", **source(server.url))
    assert (run["status"], counts(run), len(server.asked)) == ("success", (7, 7, 0, 0), 3)


@pytest.mark.usefixtures("quick")
async def test_lasting_trouble_is_left_to_later_attempts_of_the_job(
    scientist: httpx2.AsyncClient,
    database: Database,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    asked = 0

    def answer(_: Asked) -> Reply:
        nonlocal asked
        asked += 1
        return Reply(status=503) if asked > 1 else by_number(_)

    fields = {"pagination": {"style": "page", "param": "p"}}
    with serving(answer) as server:
        body = {"name": "items", **source(server.url, **fields)}
        await scientist.post("/api/v1/sources", json=body)
        started = await scientist.post("/api/v1/sources/items/run")
        await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("failed", (3, 3, 0, 0))
    assert "answered 503" in run["error"]
    assert asked == 1 + http.ATTEMPTS * jobs.MAX_ATTEMPTS


async def test_things_that_are_no_objects_are_set_aside(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda _: Reply([{"id": 1, "name": "a"}, 7, None, {"name": "b"}])) as server:
        run = await ingest("items", **source(server.url))
    assert (run["status"], counts(run)) == ("success", (4, 1, 0, 3))
    rejects = (await scientist.get("/api/v1/etl/rejects")).json()
    assert [reject["payload"] for reject in rejects] == [
        {"value": 7}, {"value": None}, {"name": "b"}
    ]  # fmt: skip


def test_a_killed_process_says_nothing() -> None:
    assert not issubclass(Killed, Exception)
