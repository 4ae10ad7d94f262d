"""Only what is new: what a run asks for, what it leaves out, and what it never does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.ingestion import pipeline
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Answer, Asked, Reply, serving
from tests.features.ingestion.test_csv_runs import dying, survive
from tests.features.ingestion.test_retries import told

pytestmark = pytest.mark.anyio

CHECKPOINT = "/api/v1/etl/checkpoints/items"
PAGES = {"style": "page", "param": "p"}
PAGE = 2
Item = dict[str, Any]


def item(key: int, changed: Any, name: str = "") -> Item:
    return {"id": key, "changed": changed, "name": name or f"Item {key}"}


def day(number: int, time: str = "12:00:00") -> str:
    return f"2026-03-{number:02}T{time}Z"


def filtering(items: list[Item]) -> Answer:
    """Those from `since` on, two a page, in the order in which they stand."""

    def answer(asked: Asked) -> Reply:
        since = asked.params.get("since")
        found = [one for one in items if since is None or one["changed"] >= since]
        first = (int(asked.params["p"]) - 1) * PAGE
        return Reply(found[first : first + PAGE])

    return answer


def source(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "api",
        "url": f"{url}/items",
        "primary_key": "id",
        "mapping": {"title": "name"},
        "cursor_field": "changed",
        **fields,
    }


def since(url: str, **fields: Any) -> dict[str, Any]:
    return source(url, params={"since": "{cursor}"}, pagination=PAGES, **fields)


async def names(client: httpx2.AsyncClient) -> dict[str, str]:
    found = (await client.get("/data", params={"source": "items", "limit": 100})).json()["data"]
    assert len({one["source_id"] for one in found}) == len(found)
    return {one["source_id"]: one["title"] for one in found}


# What is asked for -------------------------------------------------------------------------------


async def test_the_second_run_asks_for_what_lies_beyond_the_first(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(key, day(key)) for key in (3, 1, 2)]
    with serving(filtering(items)) as server:
        first = await ingest("items", **since(server.url))
        assert all("since" not in asked.params for asked in server.asked)
        server.asked.clear()
        items += [item(4, day(4)), item(5, day(3), "ties with 3")]
        items[1] = item(1, day(5), "changed")
        second = await ingest("items")
        third = await ingest("items")
    assert (counts(first), counts(second), counts(third)) == (
        (3, 3, 0, 0), (3, 2, 1, 0), (0, 0, 0, 0)
    )  # fmt: skip
    assert {asked.params["since"] for asked in server.asked} == {day(3), day(5)}
    assert await names(scientist) == {
        "1": "changed", "2": "Item 2", "3": "Item 3", "4": "Item 4", "5": "ties with 3"
    }  # fmt: skip
    (told_of,) = await told(scientist, third, "skipped")
    assert told_of["details"] == {"records": 1}


async def test_the_bookmark_goes_into_headers_and_bodies_as_its_source_wrote_it(
    ingest: Ingest,
) -> None:
    body = {"filter": [{"changed": {"from": "{cursor}"}}, "all"], "text": "after {cursor}"}
    fields = {"method": "POST", "body": body, "headers": {"X-After": "{cursor}"}}
    with serving(lambda _: Reply([item(1, 7), item(2, 5)])) as server:
        await ingest("items", **source(server.url, **fields))
        await ingest("items")
    first, second = server.asked
    assert first.body == {"filter": [{"changed": {}}, "all"]}
    assert "x-after" not in first.headers
    assert second.body == {"filter": [{"changed": {"from": 7}}, "all"], "text": "after 7"}
    assert second.headers["x-after"] == "7"


async def test_a_bookmark_cannot_write_headers_of_its_own(ingest: Ingest) -> None:
    with serving(lambda _: Reply([item(1, "a\r\nX-Evil: 1")])) as server:
        await ingest("items", **source(server.url, headers={"X-After": "{cursor}"}))
        run = await ingest("items")
    assert (run["status"], "printable ASCII" in run["error"]) == ("failed", True)
    assert len(server.asked) == 1


async def test_the_start_and_the_lag_say_from_where_to_read(ingest: Ingest) -> None:
    items = [item(key, key * 10) for key in range(1, 6)]

    def answer(asked: Asked) -> Reply:
        return Reply([one for one in items if one["changed"] >= int(asked.params["since"])])

    fields = {"params": {"since": "{cursor}"}, "cursor_start": 20, "cursor_lag": 15}
    with serving(answer) as server:
        first = await ingest("items", **source(server.url, **fields))
        items.append(item(6, 45, "came late"))
        second = await ingest("items")
    assert [asked.params["since"] for asked in server.asked] == ["20", "35"]
    assert (counts(first), counts(second)) == ((4, 4, 0, 0), (1, 1, 0, 0))


async def test_a_start_that_is_moved_back_brings_what_lies_before(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(key, key * 10) for key in range(1, 6)]
    with serving(lambda _: Reply(items)) as server:
        await ingest("items", **source(server.url, cursor_start=40))
        assert set(await names(scientist)) == {"4", "5"}
        await scientist.patch("/api/v1/sources/items", json={"cursor_start": None})
        earlier = await ingest("items")
    assert counts(earlier) == (3, 3, 0, 0)
    found = (await scientist.get(CHECKPOINT)).json()["cursor"]
    assert found == {"field": "changed", "bookmark": 50, "intervals": [[None, 50]], "remembered": 1}


# What is left out --------------------------------------------------------------------------------


async def test_of_a_source_that_cannot_filter_only_the_new_is_stored(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    rows = [f"{key},Item {key},{key}" for key in range(9)]
    (inbox / "items.csv").write_text("\n".join(["id,name,changed", *rows]))
    fields = {"kind": "csv", "path": "items.csv", "mapping": {"title": "name"}, "batch_size": 2}
    first = await ingest("items", **fields, primary_key="id", cursor_field="changed")
    rows[0] = "0,a change that nobody announced,0"
    rows += ["9,ties,8", "10,new,10"]
    (inbox / "items.csv").write_text("\n".join(["id,name,changed", *rows]))
    second = await ingest("items")
    assert (counts(first), counts(second)) == ((9, 9, 0, 0), (2, 2, 0, 0))
    assert (await names(scientist))["0"] == "Item 0"
    whole = await ingest("items", full_refresh=True)
    assert counts(whole) == (11, 0, 1, 0)
    assert (await names(scientist))["0"] == "a change that nobody announced"


async def test_a_record_without_a_comparable_value_is_read_each_time(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items: list[Any] = [
        item(1, day(1)), item(2, day(2)), item(3, None), item(4, 4), item(5, [1]),
        {"id": 6, "name": "Item 6"},
    ]  # fmt: skip
    with serving(lambda _: Reply(items)) as server:
        await ingest("items", **source(server.url))
        again = await ingest("items")
        items += [item(7, day(1), "late"), item(8, "soon")]
        third = await ingest("items")
    assert (counts(again), counts(third)) == ((4, 0, 0, 0), (5, 1, 0, 0))
    assert set(await names(scientist)) == {"1", "2", "3", "4", "5", "6", "8"}
    (unordered,) = await told(scientist, third, "unordered")
    assert "'changed'" in unordered["message"]


async def test_rows_on_the_edge_are_known_by_their_content_even_without_a_key(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astralytiq.features.ingestion.increment.MOST_REMEMBERED", 2)
    items = [item(key, 7) for key in range(4)]
    with serving(lambda _: Reply(items)) as server:
        await ingest("items", **source(server.url, primary_key=None))
        again = await ingest("items")
        items[0] = item(0, 7, "changed")
        changed = await ingest("items")
    # Two are known; the others are read again, and stored once all the same.
    assert (counts(again), counts(changed)) == ((2, 0, 0, 0), (3, 1, 0, 0))


async def test_a_row_that_changes_back_on_the_edge_is_not_taken_for_known(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(1, 7, "as it was")]
    with serving(lambda _: Reply(items)) as server:
        await ingest("items", **source(server.url))
        for name in ("changed", "as it was"):
            items[0] = item(1, 7, name)
            assert counts(await ingest("items")) == (1, 0, 1, 0)
    assert await names(scientist) == {"1": "as it was"}


async def test_an_incremental_run_never_takes_for_vanished_what_it_did_not_ask_for(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(key, day(key)) for key in (1, 2, 3)]
    with serving(filtering(items)) as server:
        await ingest("items", **since(server.url))
        del items[0]
        run = await ingest("items")
        assert (run["records_deleted"], len(await names(scientist))) == (0, 3)
        server.asked.clear()
        whole = await ingest("items", full_refresh=True)
        assert all("since" not in asked.params for asked in server.asked)
    assert (whole["records_deleted"], set(await names(scientist))) == (1, {"2", "3"})


# What is never lost ------------------------------------------------------------------------------


async def test_what_came_while_others_were_read_is_not_passed_over(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    """It changed on a page that was behind us, and something later was seen on the next."""
    soon = [(datetime.now(UTC) + timedelta(minutes=at)).isoformat() for at in (5, 6)]
    items = [item(1, day(1)), item(2, day(2)), item(3, soon[1])]
    answer = filtering(items)

    def changing(asked: Asked) -> Reply:
        reply = answer(asked)
        if asked.params["p"] == "1":
            items[0] = item(1, soon[0], "changed behind us")
        return reply

    with serving(changing) as server:
        await ingest("items", **since(server.url))
        server.answer = answer
        assert (await names(scientist))["1"] == "Item 1"
        await ingest("items")
    assert (await names(scientist))["1"] == "changed behind us"


async def test_a_run_that_fails_has_read_nothing_as_far_as_the_next_one_knows(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    items = [item(key, day(key)) for key in (4, 3, 2, 1)]
    answer = filtering(items)

    def failing(asked: Asked) -> Reply:
        return answer(asked) if asked.params["p"] == "1" else Reply(status=404)

    with serving(failing) as server:
        failed = await ingest("items", **since(server.url))
        assert (failed["status"], len(await names(scientist))) == ("failed", 2)
        assert (await scientist.get(CHECKPOINT)).json()["cursor"]["bookmark"] is None
        server.answer = answer
        healed = await ingest("items")
    assert counts(healed) == (4, 2, 0, 0)
    assert all("since" not in asked.params for asked in server.asked)


@pytest.mark.parametrize("batch", [1, 2, 3])
async def test_an_attempt_that_dies_goes_on_with_what_it_had_seen(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    """The highest value came before its death, so that only the memory of it has it."""
    items = [item(key, day(key)) for key in (1, 2)]
    with serving(filtering(items)) as server:
        await ingest("items", **since(server.url, batch_size=1))
        items[:] = [item(key, day(key)) for key in (9, 8, 4, 3, 6, 5)]
        started = await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patched:
            patched.setattr(pipeline.Pipeline, "store", dying(pipeline.Pipeline.store, batch))
            await survive(resources, run_jobs)
        # What changes now changes the bookmark of the next run, never of this one.
        await scientist.patch("/api/v1/sources/items", json={"cursor_lag": "1d"})
        await run_jobs()
        run = (await scientist.get(started.headers["location"])).json()
        assert (run["status"], run["error"], counts(run)) == ("success", None, (6, 6, 0, 0))
        server.asked.clear()
        await ingest("items")
    assert {asked.params["since"] for asked in server.asked} == {day(8)}
    assert len(await names(scientist)) == 8


async def test_a_start_that_is_moved_back_while_a_run_is_dead_brings_what_lies_before(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its pages had been read by the old start: the run must not claim to have read them whole."""
    items = [item(key, day(key)) for key in (1, 2, 7, 8, 9)]
    body = {"name": "items", "cursor_start": day(7), "batch_size": 1}
    with serving(lambda _: Reply(items)) as server:
        await scientist.post("/api/v1/sources", json=body | source(server.url))
        started = await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patched:
            patched.setattr(pipeline.Pipeline, "store", dying(pipeline.Pipeline.store, 2))
            await survive(resources, run_jobs)
        await scientist.patch("/api/v1/sources/items", json={"cursor_start": day(1)})
        await run_jobs()
    assert (await scientist.get(started.headers["location"])).json()["status"] == "success"
    assert len(await names(scientist)) == 5


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"mapping": {"title": "id"}, "retry": {"attempts": 2}}, True),
        ({"cursor_field": "id"}, False),
        ({"params": {"since": "{cursor}", "kind": "x"}}, False),
        ({"primary_key": ["id", "name"]}, False),
    ],
)
async def test_a_source_that_is_read_in_another_way_is_read_from_its_start(
    ingest: Ingest, scientist: httpx2.AsyncClient, change: dict[str, Any], asked: bool
) -> None:
    with serving(filtering([item(key, day(key)) for key in (1, 2)])) as server:
        await ingest("items", **since(server.url))
        changed = await scientist.patch("/api/v1/sources/items", json=change)
        assert changed.status_code == 200, changed.text
        server.asked.clear()
        await ingest("items")
    assert ("since" in server.asked[0].params) == asked


# Doors -------------------------------------------------------------------------------------------


async def test_a_rewind_makes_the_next_run_read_everything_again(
    ingest: Ingest, scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    with serving(filtering([item(key, day(key)) for key in (1, 2)])) as server:
        await ingest("items", **since(server.url))
        shown = (await scientist.get(CHECKPOINT)).json()
        assert shown["cursor"] == {
            "field": "changed", "bookmark": day(2), "intervals": [[None, day(2)]], "remembered": 1
        }  # fmt: skip
        stranger = await sign_in(Role.data_scientist)
        assert (await stranger.delete(CHECKPOINT)).status_code == 403
        assert (await scientist.delete(CHECKPOINT)).status_code == 204
        missing = await scientist.get(CHECKPOINT)
        assert (missing.status_code, "next run reads from the start" in missing.text) == (404, True)
        again = await ingest("items")
    assert counts(again) == (2, 0, 0, 0)


async def test_a_run_in_progress_keeps_its_checkpoint(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    with serving(lambda _: Reply([item(1, 1)])) as server:
        await ingest("items", **source(server.url))
        await scientist.post("/api/v1/sources/items/run")
        refused = await scientist.delete(CHECKPOINT)
    assert (refused.status_code, "cancel it first" in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cursor_field": None, "cursor_start": 5}, "'cursor_start' needs 'cursor_field'"),
        ({"cursor_field": None, "params": {"a": "{cursor}"}}, "'{cursor}' needs 'cursor_field'"),
        ({"cursor_start": ""}, "a time, a number or a short text"),
        ({"cursor_lag": "soon"}, "give a time such as '10m'"),
        ({"cursor_lag": -1}, "a number from 0"),
        ({"cursor_lag": 10**400}, "a number from 0"),
        ({"cursor_start": 10**400}, "a time, a number or a short text"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_words(
    scientist: httpx2.AsyncClient, fields: dict[str, Any], words: str
) -> None:
    body = {"name": "items", **source("https://api.example.org", **fields)}
    refused = await scientist.post("/api/v1/sources", json=body)
    assert (refused.status_code, words in refused.text) == (422, True), refused.text


async def test_a_text_has_no_lag(ingest: Ingest) -> None:
    with serving(lambda _: Reply([item(1, "v1")])) as server:
        run = await ingest("items", **source(server.url, cursor_lag=5))
    assert (run["status"], "cursor_lag" in run["error"]) == ("failed", True)


async def test_a_preview_asks_as_the_first_run_does(scientist: httpx2.AsyncClient) -> None:
    with serving(lambda _: Reply([item(1, 7)])) as server:
        for start in (None, 5):
            fields = {"params": {"since": "{cursor}"}, "cursor_start": start}
            body = {"name": "items", **source(server.url, **fields)}
            seen = await scientist.post("/api/v1/sources/preview", json=body)
            assert seen.status_code == 200, seen.text
    assert [asked.params.get("since") for asked in server.asked] == [None, "5"]
