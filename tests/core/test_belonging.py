"""Homes on one PostgreSQL share jobs: they must share the files of these, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from astralytiq import cli, doctor, home
from astralytiq.core import logging, scheduler
from astralytiq.core.belonging import KEY
from astralytiq.core.resources import Resources, opened
from astralytiq.core.settings import Settings
from astralytiq.doctor import Verdict
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
    told = {one.check: one for one in await doctor.examine(other.settings)}["storage"]
    assert told.verdict is Verdict.wrong
    assert "another storage" in told.detail
    assert not other.storage.exists(KEY)
    other.storage.put(KEY, first.storage.get(KEY) + b"\n")  # As somebody who moved the files would.
    await home.refuse_other_storage(other)
    found = {one.check: one for one in await doctor.examine(other.settings)}["storage"]
    assert found.verdict is Verdict.ok


async def test_the_doctor_marks_nothing(homes: list[Resources]) -> None:
    first, *_ = homes
    await doctor.examine(first.settings)
    assert not first.storage.exists(KEY)


async def test_a_scheduler_does_not_start_with_another_storage(
    homes: list[Resources], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tick_never(resources: Resources) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scheduler, "run_forever", tick_never)
    monkeypatch.setattr(logging, "configure", lambda _: None)
    first, other, _ = homes
    await home.refuse_other_storage(first)
    for one, refused in ((first, False), (other, not first.database.is_sqlite)):
        monkeypatch.setattr(cli, "settings_for", lambda *_, one=one: one.settings)
        ended = await asyncio.to_thread(CliRunner().invoke, cli.app, ["scheduler"])
        assert ended.exit_code == (1 if refused else 0), ended.output
        assert ("another storage" in ended.stderr) is refused


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
