"""What is computed of a batch before its transaction, by the kernel and by Python alone."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.engines.etl.faults import Bent
from astralytiq.engines.etl.normalise import Broken
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.features.ingestion import pipeline
from astralytiq.features.ingestion.preparing import Preparer
from tests.engines.etl.test_compiled_rows import none, way_of
from tests.features.ingestion.conftest import Ingest, counts

pytestmark = pytest.mark.anyio

PAYLOADS: list[Any] = [
    {"id": "1", "title": "Grün\n\\N", "published_at": "2026-01-31", "price": "1.50"},
    {"id": "2", "title": "", "published_at": "soon", "price": "2"},
    Broken("has 1 cells", {"line": 4, "cells": ["x"]}),
    {"id": "3", "title": "C", "published_at": "", "price": "-0"},
]


@pytest.mark.parametrize("for_sqlite", [True, False])
def test_the_kernel_prepares_what_python_does(for_sqlite: bool) -> None:
    way = way_of(for_sqlite)
    payloads = [*PAYLOADS, *({"id": str(at), "title": "x"} for at in range(4, 200))]
    found = Preparer(way).prepare(payloads)
    assert found == Preparer(way, none).prepare(payloads)
    assert found == Preparer(way).prepare(Payloads.of(payloads))
    assert [reject.position for reject in found.rejects] == [1, 2]
    assert (len(found.tuples), len(found.lines)) == ((198, 0) if for_sqlite else (0, 198))


@pytest.mark.parametrize("kernels", [{}, {"kernels": none}])
def test_a_lean_batch_has_no_rows(kernels: dict[str, Any]) -> None:
    found = Preparer(way_of(), **kernels).prepare(PAYLOADS, lean=True)
    assert (found.ids, len(found.hashes), found.tuples) == (["1", "3"], 2, [])


def test_what_a_drill_has_bent_is_a_reject() -> None:
    """Its JSON is that of a whole record: nobody who reads only that can tell."""
    bent = [Bent("was bent", {"id": "9"}), *PAYLOADS]
    found = Preparer(way_of()).prepare(bent)
    assert found == Preparer(way_of(), none).prepare(bent)
    assert found.rejects[0].reason == "was bent"


@pytest.mark.parametrize("by_kernel", [True, False])
async def test_a_run_of_many_batches(
    inbox: Path,
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    by_kernel: bool,
) -> None:
    if not by_kernel:
        monkeypatch.setattr(pipeline, "Preparer", partial(Preparer, kernels=none))
    rows = "".join(f"{at},Title {at},{at}.5,2026-01-{at % 28 + 1:02}\n" for at in range(20))
    (inbox / "shop.csv").write_text(f"id,title,price,published_at\n{rows}21,x\n")
    source = {"kind": "csv", "path": "shop.csv", "primary_key": "id", "batch_size": 3}
    run = await ingest("shop", **source)
    assert (run["status"], counts(run)) == ("success", (21, 20, 0, 1))
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
