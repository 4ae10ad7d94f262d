"""Batches prepared in a process of their own are what they are in a thread."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.engines.etl.faults import Bent
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.packing import written
from astralytiq.features.ingestion import aside
from astralytiq.features.ingestion.aside import Preparer
from astralytiq.features.ingestion.preparing import Prepared, Question, Way, preparer
from tests.features.ingestion.conftest import Ingest, counts

pytestmark = pytest.mark.anyio

PAYLOADS: list[Any] = [
    {"id": "1", "title": "Grün\n\\N", "published_at": "2026-01-31", "price": "1.50"},
    {"id": "2", "title": "", "published_at": "soon", "price": "2"},
    Broken("has 1 cells", {"line": 4, "cells": ["x"]}),
    {"id": "3", "title": "C", "published_at": "", "price": "-0"},
]


def way(*, for_sqlite: bool = True) -> Way:
    forms: dict[str, Any] = {"published_at": "time", "metadata": "json", "raw_position": "plain"}
    texts = ("title", "description", "content", "author", "url", "category", "source")
    forms |= dict.fromkeys((*texts, "source_id", "entity_id", "content_hash"), "text")
    return Way("shop", {}, ["id"], True, None, True, for_sqlite, forms)


@pytest.fixture
async def process(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Preparer]:
    monkeypatch.setattr(aside, "LONG", 0)
    monkeypatch.setattr(aside, "cores", lambda: 2)
    made = Preparer(way())
    yield made
    await made.aclose()


def pid_of(made: Preparer) -> int:
    assert made._process
    return made._process.pid


def in_thread(payloads: list[Any], wanted: Way) -> Prepared:
    return preparer(wanted)([payloads], Question(len(payloads), [written(payloads)], False))


@pytest.mark.parametrize("for_sqlite", [True, False])
async def test_the_answer_is_the_same(monkeypatch: pytest.MonkeyPatch, for_sqlite: bool) -> None:
    monkeypatch.setattr(aside, "LONG", 0)
    monkeypatch.setattr(aside, "cores", lambda: 2)
    wanted = way(for_sqlite=for_sqlite)
    made = Preparer(wanted)
    for payloads in (PAYLOADS, PAYLOADS[::-1]):
        assert await made.prepare(payloads) == in_thread(payloads, wanted)
    assert pid_of(made)
    await made.aclose()
    assert [reject.position for reject in in_thread(PAYLOADS, wanted).rejects] == [1, 2]


async def test_a_short_run_starts_no_process() -> None:
    made = Preparer(way())
    await made.prepare(PAYLOADS)
    assert made._process is None


async def test_what_a_drill_has_bent_stays_here(process: Preparer) -> None:
    bent = [Bent("was bent", {"id": "9"}), *PAYLOADS]
    found = await process.prepare(bent)
    assert found == in_thread(bent, way())
    assert found.rejects[0].reason == "was bent"


async def test_a_process_that_dies_is_done_without(process: Preparer) -> None:
    await process.prepare(PAYLOADS)
    os.kill(pid_of(process), signal.SIGKILL)
    for _ in range(2):
        assert await process.prepare(PAYLOADS) == in_thread(PAYLOADS, way())
    assert process._process is None


async def test_what_it_cannot_do_is_done_here(
    process: Preparer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = msgpack_of_no_way()
    monkeypatch.setattr(aside, "COMMAND", (aside.COMMAND[0], "-c", broken))
    assert await process.prepare(PAYLOADS) == in_thread(PAYLOADS, way())


def msgpack_of_no_way() -> str:
    return (
        "from astralytiq.features.ingestion import aside\n"
        "def none(way):\n"
        "    def cannot(*asked): raise ValueError\n"
        "    return cannot\n"
        "aside.preparer = none\n"
        "aside.main()\n"
    )


async def test_it_ends_with_us(process: Preparer) -> None:
    await process.prepare(PAYLOADS)
    running = process._process
    assert running
    assert running.stdin
    running.stdin.close()
    assert await asyncio.wait_for(running.wait(), 10) == 0


async def test_a_long_run_is_loaded_by_both(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "LONG", 4)
    monkeypatch.setattr(aside, "cores", lambda: 2)
    answers: list[Prepared | None] = []
    ask = aside.asked

    async def told(*arguments: Any) -> Prepared | None:
        answers.append(await ask(*arguments))
        return answers[-1]

    monkeypatch.setattr(aside, "asked", told)
    rows = "".join(f"{at},Title {at},{at}.5,2026-01-{at % 28 + 1:02}\n" for at in range(20))
    (inbox / "shop.csv").write_text(f"id,title,price,published_at\n{rows}21,x\n")
    source = {"kind": "csv", "path": "shop.csv", "primary_key": "id", "batch_size": 3}
    run = await ingest("shop", **source)
    assert (run["status"], counts(run)) == ("success", (21, 20, 0, 1))
    assert [answer.size for answer in answers if answer] == [3] * 6
    data = (await scientist.get("/data?limit=100")).json()["data"]
    assert [(one["source_id"], one["metadata"]["price"]) for one in data] == [
        (str(at), at + 0.5) for at in range(20)
    ]
    raw = (await scientist.get(f"/data/{data[13]['id']}/raw")).json()
    assert raw["payload"]["title"] == "Title 13"
    again = await ingest("shop")
    assert counts(again) == (21, 0, 0, 1)


async def test_batches_thought_to_be_stored_are_stored_all_the_same(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    """The rows of a batch are left out if the one before was stored already: a wrong guess."""
    kept = [f"{at},Title {at}" for at in range(12)]
    (inbox / "shop.csv").write_text("\n".join(["id,title", *kept, ""]))
    source = {"kind": "csv", "path": "shop.csv", "primary_key": "id", "batch_size": 2}
    assert counts(await ingest("shop", **source)) == (12, 12, 0, 0)
    new = [f"{at},New {at}" for at in range(20, 28)]
    mixed = [*kept[:4], *new[:6], *kept[4:6], *new[6:], *kept[6:8]]
    mixed += ["8,Changed", kept[9], "30,Last", kept[10], kept[11]]
    (inbox / "shop.csv").write_text("\n".join(["id,title", *mixed, ""]))
    assert counts(await ingest("shop")) == (21, 9, 1, 0)
    assert counts(await ingest("shop")) == (21, 0, 0, 0)
    page = (await scientist.get("/data?limit=100")).json()
    assert page["total_count"] == len(page["data"]) == 21
    titles = {one["source_id"]: one["title"] for one in page["data"]}
    assert titles == dict(line.split(",") for line in [*kept, *mixed])


async def test_no_secret_is_handed_on(process: Preparer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "not to be seen")
    await process.prepare(PAYLOADS)
    environment = Path(f"/proc/{pid_of(process)}/environ")
    assert b"not to be seen" not in await asyncio.to_thread(environment.read_bytes)
