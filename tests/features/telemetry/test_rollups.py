"""Roll-ups equal a recount: whatever comes, twice, late, from anywhere, at once, and is deleted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from sqlalchemy import text

from astralytiq.core import executor, jobs
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.telemetry import intake, recording, removing
from astralytiq.features.telemetry.intake import Limits
from astralytiq.features.telemetry.recording import Posted
from astralytiq.features.telemetry.schemas import Reading, microseconds_of
from tests.conftest import RunJobs
from tests.databases import Databases
from tests.features.telemetry.factories import API, ago, get, post_many, reading
from tests.features.telemetry.recount import refuse_wrong_sums
from tests.machines import BOUNDED, Stage, staged

DAYS = 3  # that events are kept
FEWER = settings(BOUNDED, max_examples=5)  # Each step counts everything again.
NOW = datetime.now(UTC)

moments = st.datetimes(
    (NOW - timedelta(days=DAYS - 1)).replace(tzinfo=None),
    (NOW + timedelta(hours=20)).replace(tzinfo=None),
)
zones = st.sampled_from(["", "Z", "+05:30", "-11:00", "+14:00"])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    moment, zone = draw(moments), draw(zones)
    shift = timedelta()
    if zone not in ("", "Z"):
        shift = datetime.fromisoformat(f"2026-01-01T00:00:00{zone}").utcoffset() or shift
    found: dict[str, Any] = {
        "ear_value": draw(st.floats(0, 1)),
        "is_drowsy": draw(st.booleans()),
        "duration_ms": draw(st.floats(0, 86_400_000) | st.integers(0, 20_000)),
        "timestamp": (moment + shift).isoformat() + zone,
        "device_id": draw(st.sampled_from(["a", "b", "c"])),
    }
    # Few ids: many of them come again, also with other content.
    if draw(st.booleans()):
        found["event_id"] = draw(st.sampled_from([f"e{n}" for n in range(12)]))
    return found


class Telemetry(RuleBasedStateMachine):
    stage: Stage
    client: httpx2.AsyncClient

    @initialize()
    def begin(self) -> None:
        self.ids: set[tuple[str, str]] = set()
        self.anonymous = 0
        self.stage.do(self.empty())

    async def empty(self) -> None:
        for device in await get(self.client, f"{API}/devices"):
            await self.client.delete(f"{API}/devices/{device['id']}")
        await executor.run_until_idle(self.stage.resources, "tests")

    @rule(some=st.lists(events(), min_size=1, max_size=25))
    def post_a_batch(self, some: list[dict[str, Any]]) -> None:
        self.stage.do(post_many(self.client, some))
        self.know(some)

    @rule(some=st.lists(events(), min_size=1, max_size=6))
    def post_at_once(self, some: list[dict[str, Any]]) -> None:
        async def all_of_them() -> None:
            posts = (self.client.post("/telemetry", json=event) for event in some)
            answers = await asyncio.gather(*posts)
            assert {answer.status_code for answer in answers} == {200}

        self.stage.do(all_of_them())
        self.know(some)

    def know(self, some: list[dict[str, Any]]) -> None:
        named = [event for event in some if "event_id" in event]
        self.ids |= {(event["device_id"], event["event_id"]) for event in named}
        self.anonymous += len(some) - len(named)

    @precondition(lambda self: self.ids)
    @rule(name=st.sampled_from("abc"))
    def delete_a_device(self, name: str) -> None:
        async def delete() -> int:
            for device in await get(self.client, f"{API}/devices", device_id=name):
                await self.client.delete(f"{API}/devices/{device['id']}")
            await executor.run_until_idle(self.stage.resources, "tests")
            return int((await get(self.client, "/statistics"))["total_events"])

        left = self.stage.do(delete())
        self.ids = {one for one in self.ids if one[0] != name}
        self.anonymous = left - len(self.ids)

    @rule(hours=st.integers(-20, 72))
    def forget_what_is_old(self, hours: int) -> None:
        """As if time had gone on: the setting itself is whole days."""
        oldest = microseconds_of(NOW - timedelta(hours=hours)) // 3_600_000_000
        values = {"oldest": oldest * 3_600_000_000}

        async def remove() -> None:
            database = self.stage.resources.database
            while await database.write(
                lambda session: removing.remove_part(session, removing.OLD, values)
            ):
                pass

        self.stage.do(remove())
        self.stage.do(self.learn())

    async def learn(self) -> None:
        """What is left; that it is right is not asked here."""
        query = (
            "SELECT d.device_id, e.event_id FROM telemetry_events AS e"
            " JOIN telemetry_devices AS d ON d.id = e.device"
        )
        async with self.stage.resources.database.reading() as session:
            rows = [tuple(row) for row in await session.execute(text(query))]
        self.ids = {(d, e) for d, e in rows if e.startswith("e") and len(e) < 5}
        self.anonymous = len(rows) - len(self.ids)

    @invariant()
    def the_sums_are_right(self) -> None:
        if not hasattr(self, "ids"):
            return
        count = self.stage.do(refuse_wrong_sums(self.stage.resources.database))
        assert count == len(self.ids) + self.anonymous
        shown = self.stage.do(get(self.client, "/statistics"))
        assert shown["total_events"] == count
        assert sum(shown["severity_distribution"].values()) == count


def test_sums_stay_right_whatever_comes(databases: Databases, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with staged(databases, tmp_path / "home", telemetry_retention_days=DAYS) as stage:
        Telemetry.stage, Telemetry.client = stage, stage.person(Role.admin)
        run_machine(Telemetry, settings=FEWER)


@pytest.mark.anyio
async def test_writers_of_several_processes_lose_nothing(
    resources: Resources, admin: httpx2.AsyncClient
) -> None:
    """Past the queue of this process: each a transaction of its own, all at the same cells."""
    limits = Limits.at(datetime.now(UTC), resources.settings)

    async def write(writer: int) -> int:
        events = [
            Reading(0.2, True, 10, device_id=f"d{(writer + n) % 3}", event_id=f"{n}")
            for n in range(30)
        ]
        kept = await recording.stored(resources.database, [Posted(intake.rows_of(events, limits))])
        return kept.events

    kept = await asyncio.gather(*(write(writer) for writer in range(12)))
    assert sum(kept) == 90 == await refuse_wrong_sums(resources.database)
    assert (await get(admin, "/statistics"))["total_events"] == 90


@pytest.mark.anyio
async def test_what_is_older_than_the_setting_is_deleted_by_the_clock(
    resources: Resources, admin: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await post_many(admin, [reading(timestamp=ago(days=day)) for day in range(10)])
    shorter = resources.settings.model_copy(update={"telemetry_retention_days": 4})
    brief = replace(resources, settings=shorter)
    job = await resources.database.write(lambda session: jobs.enqueue(session, removing.TIDY))
    assert job
    await executor.run_until_idle(brief, "tests")
    found = await get(admin, "/statistics")
    assert found["total_events"] == 5 == await refuse_wrong_sums(resources.database)
    assert (await get(admin, f"{API}/jobs/{job.id}"))["result"] == {"deleted": 5}


@pytest.mark.anyio
async def test_deleting_goes_on_where_it_was_stopped(
    resources: Resources, admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "PART", 7)
    await post_many(admin, [reading(timestamp=ago(days=2), event_id=f"{n}") for n in range(20)])
    now = microseconds_of(datetime.now(UTC))
    for left in (13, 6, 0):
        await resources.database.write(
            lambda session: removing.remove_part(session, removing.OLD, {"oldest": now})
        )
        assert await refuse_wrong_sums(resources.database) == left
