"""Small batches become one, unless their source is slow or fails."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx2
import msgspec
import pytest

from astralytiq.core.http import Fetched
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.features.ingestion import batches, read_api
from astralytiq.features.ingestion.batches import Batch, gathered
from astralytiq.features.ingestion.schemas import ApiSource

pytestmark = pytest.mark.anyio


async def coming(sizes: Sequence[int], fault: str = "") -> AsyncGenerator[Batch]:
    for number, size in enumerate(sizes, 1):
        yield Batch([number] * size, {"page": number}, number / len(sizes))
    if fault:
        raise ValueError(fault)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([3], [3]),
        ([2, 2, 1], [5]),
        ([2, 2, 2], [4, 2]),
        ([5, 1], [5, 1]),
        ([1, 5, 1], [1, 5, 1]),
        ([7, 2, 3], [7, 5]),
    ],
)
async def test_they_are_joined_up_to_the_size(sizes: list[int], expected: list[int]) -> None:
    found = [batch async for batch in gathered(coming(sizes), 5)]
    assert [len(batch.payloads) for batch in found] == expected
    read = [number for batch in found for number in batch.payloads]
    assert read == [number for number, size in enumerate(sizes, 1) for _ in range(size)]
    assert [batch.position["page"] for batch in found] == [batch.payloads[-1] for batch in found]


async def test_what_came_before_a_fault_is_handed_on() -> None:
    found = gathered(coming([1, 1], "page 3 timed out"), 5)
    assert (await anext(found)).payloads == [1, 2]
    with pytest.raises(ValueError, match="page 3 timed out"):
        await anext(found)


async def test_what_came_does_not_wait_for_a_slow_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PATIENCE", 0.0)
    told = asyncio.Event()

    async def slow() -> AsyncGenerator[Batch]:
        yield Batch([1], {}, 0.0)
        await told.wait()
        yield Batch([2], {}, 1.0)

    found = gathered(slow(), 5)
    assert (await anext(found)).payloads == [1]
    told.set()
    assert (await anext(found)).payloads == [2]
    await found.aclose()


async def test_whoever_stops_early_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Batch]:
        try:
            while True:
                yield Batch([1], {}, 0.0)
                await asyncio.sleep(0)
        finally:
            closed.set()

    found = gathered(endless(), 3)
    assert len((await anext(found)).payloads) == 3
    await found.aclose()
    assert closed.is_set()


async def texts(sizes: Sequence[int]) -> AsyncGenerator[Batch]:
    async for batch in coming(sizes):
        yield Batch(Payloads.of(batch.payloads), batch.position, batch.progress)


async def test_texts_are_joined_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astralytiq.engines.etl.packing.read", None)
    (found,) = [batch async for batch in gathered(texts([2, 1]), 5)]
    assert isinstance(found.payloads, Payloads)
    assert found.payloads.texts == [b"[1,1]", b"[2]"]


async def test_texts_and_others_are_joined_as_a_list() -> None:
    held = Batch(Payloads.of([1, 2]), {}, 0.0)
    for found in (held.followed_by(Batch([3], {}, 1.0)), Batch([3], {}, 0.0).followed_by(held)):
        assert isinstance(found.payloads, list)
        assert sorted(found.payloads) == [1, 2, 3]


@pytest.mark.parametrize(
    ("wanted", "as_texts"),
    [({}, True), ({"batch_size": 2}, False), ({"cursor_field": "id"}, False)],
)
def test_a_page_goes_on_as_texts_if_nobody_takes_it_apart(
    wanted: dict[str, Any], as_texts: bool
) -> None:
    source = ApiSource(kind="api", name="shop", url="https://example.org/items", **wanted)
    records = [{"id": 1}, {"id": 2}, 3]
    answer = Fetched(source.url, httpx2.Headers(), msgspec.json.encode(records))
    found = read_api.opened(source, answer, first=True)
    made = read_api.slices(found, {}, None, 0, source.batch_size, 1, "")
    assert [payload for batch in made for payload in batch.payloads] == found.records
    assert {isinstance(batch.payloads, Payloads) for batch in made} == {as_texts}
    (rest,) = read_api.slices(found, {}, None, 2, source.batch_size, 1, "")
    assert rest.payloads == found.records[2:]
