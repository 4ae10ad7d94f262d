"""Whatever happens to a source and to its runs: what is stored is what the source has.

A run may meet pages twice and in any order, records that change behind it, its own death after
any batch, and failure; times tie. No run may pass over what was there when it began.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.core.resources import Resources
from astralytiq.features.ingestion import incremental, pipeline
from astralytiq.features.ingestion.batches import Batch
from astralytiq.features.ingestion.increment import STATE, Increment
from astralytiq.features.ingestion.models import Checkpoint, Run
from astralytiq.features.ingestion.schemas import source_spec
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Asked, Reply, serving
from tests.features.ingestion.test_csv_runs import dying, survive
from tests.features.ingestion.test_incremental import names, since

START = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
Item = dict[str, Any]


@dataclass
class Shop:
    """A source whose records carry the time of their last change, by its own clock."""

    chance: Random
    clock: datetime = START
    items: dict[int, Item] = field(default_factory=dict)
    changes: int = 0

    def change(self) -> None:
        """A new record or a changed one, often at the very time of the one before."""
        self.clock += timedelta(seconds=self.chance.choice((0, 0, 1, 60)))
        self.changes += 1
        key = self.chance.randrange(12)
        self.items[key] = {"id": key, "at": self.clock.isoformat(), "name": f"v{self.changes}"}

    def page_keys(self, asked: str | None) -> list[list[int]]:
        keys = [key for key, one in self.items.items() if asked is None or one["at"] >= asked]
        self.chance.shuffle(keys)
        pages = [keys[at : at + 2] for at in range(0, len(keys), 2)]
        return pages + [page for page in pages if self.chance.random() < 0.2]


@dataclass
class Loader:
    """Runs as the pipeline makes them, in memory; what is kept goes through JSON."""

    shop: Shop
    filters: bool
    stored: dict[int, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def increment(self, began: datetime, position: dict[str, Any] | None) -> Increment:
        params = {"since": "{cursor}"} if self.filters else {}
        spec = source_spec.validate_python(
            {
                "name": "items", "kind": "api", "url": "http://shop.example.org/",
                "primary_key": "id", "cursor_field": "at", "params": params,
            }
        )  # fmt: skip
        checkpoint, run = Checkpoint(state=self.state), Run(start_time=began)
        found = incremental.take_up(spec, checkpoint, run, False, position)
        assert found
        return found

    def run(self, *, busy: bool = False, dies: float = 0.0, fails: float = 0.0) -> int:
        """Answers how many records were not left out."""
        began, chance, read = self.shop.clock, self.shop.chance, 0
        increment = self.increment(began, None)
        pages = self.shop.page_keys(increment.asked if self.filters else None)  # type: ignore[arg-type]
        position = None
        for page in pages:
            sifted = increment.sift(Batch([dict(self.shop.items[key]) for key in page], {}, 0.0))
            if sifted.payloads:
                self.stored |= {one["id"]: one["name"] for one in sifted.payloads}
                read += len(sifted.payloads)
                position = json.loads(json.dumps(sifted.position))
            if chance.random() < fails:
                return read
            if position and chance.random() < dies:  # Goes on after what was stored.
                increment = self.increment(began, position)
            if busy and chance.random() < 0.5:
                self.shop.clock += timedelta(seconds=1)
                self.shop.change()
        self.state = json.loads(json.dumps({STATE: increment.state()}))
        return read


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32), st.booleans())
def test_after_any_runs_what_is_stored_is_what_the_source_has(seed: int, filters: bool) -> None:
    chance = Random(seed)
    shop = Shop(chance)
    loader = Loader(shop, filters)
    for _ in range(chance.randrange(1, 8)):
        for _ in range(chance.randrange(6)):
            shop.change()
        loader.run(busy=chance.random() < 0.5, dies=0.3, fails=0.2)
    shop.clock += timedelta(seconds=1)
    loader.run()
    assert loader.stored == {key: one["name"] for key, one in shop.items.items()}
    assert loader.run() == 0  # All that ties with the last one is known.


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_is_true_of_a_server_and_a_database(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chance = Random(seed)
    shop = Shop(chance)
    pages: list[list[int]] = []

    def answer(asked: Asked) -> Reply:
        if asked.params["p"] == "1":
            pages[:] = shop.page_keys(asked.params.get("since"))
        at = int(asked.params["p"]) - 1
        found = [shop.items[key] for key in pages[at]] if at < len(pages) else []
        return Reply({"page": asked.params["p"], "items": found})

    async def run(at: int) -> None:
        """One that dies at its batch `at`, if it has so many."""
        await scientist.post("/api/v1/sources/items/run")
        with monkeypatch.context() as patched:
            store = dying(pipeline.Pipeline.store, at)
            patched.setattr(pipeline.Pipeline, "store", store)
            if at:
                await survive(resources, run_jobs)
        await run_jobs()

    shop.change()
    with serving(answer) as server:
        await ingest("items", **since(server.url, cursor_field="at", records_path="items"))
        for _ in range(4):
            for _ in range(chance.randrange(1, 6)):
                shop.change()
            await run(chance.randrange(2))
            assert await names(scientist) == {str(k): one["name"] for k, one in shop.items.items()}
        server.asked.clear()
        last = await ingest("items")
    assert counts(last) == (0, 0, 0, 0)
    latest = max(one["at"] for one in shop.items.values())
    assert {asked.params["since"] for asked in server.asked} == {latest}
