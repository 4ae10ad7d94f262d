"""Small batches become one, unless their source is slow or fails."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from astralytiq.features.ingestion import batches
from astralytiq.features.ingestion.batches import Batch, gathered

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
