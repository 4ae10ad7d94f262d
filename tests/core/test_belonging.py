"""Homes on one PostgreSQL share jobs: they must share the files of these, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from astralytiq import home
from astralytiq.core.belonging import KEY
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings
from astralytiq.home import HomeError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def homes(settings: Settings, tmp_path: Path) -> AsyncIterator[list[Resources]]:
    """Three on one database; the third has the storage of the first."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                opened(settings.model_copy(update={"storage_url": str(tmp_path / folder)}))
            )
            for folder in ("a/storage", "b/storage", "a/storage")
        ]


async def test_a_second_home_works_on_a_database_only_with_the_first_ones_storage(
    homes: list[Resources],
) -> None:
    first, other, neighbour = homes
    for _ in range(2):
        await home.refuse_other_storage(first)
    await home.refuse_other_storage(neighbour)
    if first.database.is_sqlite:  # It lies in a home.
        await home.refuse_other_storage(other)
        return
    with pytest.raises(HomeError, match=r"another storage than .*b/storage.*STORAGE_URL"):
        await home.refuse_other_storage(other)
    assert not other.storage.exists(KEY)
    other.storage.put(KEY, first.storage.get(KEY) + b"\n")  # As somebody who moved the files would.
    await home.refuse_other_storage(other)


async def test_of_two_first_starts_at_once_one_is_the_first(homes: list[Resources]) -> None:
    first, other, neighbour = homes
    starts = (home.refuse_other_storage(one) for one in (first, other, neighbour))
    found = await asyncio.gather(*starts, return_exceptions=True)
    refused = [one for one in found if isinstance(one, HomeError)]
    unforeseen = [one for one in found if one is not None and one not in refused]
    assert unforeseen == []
    if first.database.is_sqlite:
        assert refused == []
    else:
        assert refused == [found[1]] or refused == [found[0], found[2]]
