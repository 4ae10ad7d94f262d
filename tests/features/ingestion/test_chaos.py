"""Any sequence of faults, kills and restarts ends, after one clean run, in the source's records.

A clean run heals what the ones before it lost: so each run that succeeded is asked for itself, too,
whether it has read all that the source had when it was asked for. `make chaos` tries ten times as
many sequences, and others each time.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from astralytiq.core import executor, http, jobs
from astralytiq.core.budgets import Budgets
from astralytiq.core.executor import Work
from astralytiq.core.jobs import FINISHED, Job
from astralytiq.core.security import Role
from astralytiq.engines.etl.packing import unpacked
from astralytiq.features.ingestion import injection
from astralytiq.features.ingestion.models import Reject, Run, RunEvent, RunStatus
from astralytiq.features.ingestion.raw import RAW_TABLES
from tests.databases import Databases
from tests.features.ingestion.drills import (
    KEY,
    KEY_NAME,
    PAGE,
    Item,
    add,
    answering,
    begun,
    hurry,
    items,
    seen,
    spec,
    stored,
    titles,
    write_files,
)
from tests.features.ingestion.servers import Answer, Asked, Reply, Server, serving
from tests.features.ingestion.test_csv_runs import Killed, dying
from tests.features.ingestion.workers import Nursery, no_time, nursery
from tests.machines import BOUNDED, Stage, staged
from tests.patience import PATIENCE

CHAOS = bool(os.environ.get("CHAOS"))
SEQUENCES = {"sqlite": 200, "postgresql": 50} if CHAOS else {"sqlite": 20, "postgresql": 5}
ITEMS = 11
OWNER = "chaos"
NEW = "new"  # an API that is asked for what is new
KINDS = ("api", "csv", "rss", NEW)
OF_NEW: dict[str, Any] = {
    "kind": "api",
    "records_path": "items",
    "primary_key": "id",
    "mapping": {"title": "name"},
    "cursor_field": "changed",
    "params": {"since": "{cursor}"},
    "pagination": {"style": "cursor", "param": "after", "cursor_path": "next"},
    "batch_size": 3,
}

# What may happen ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """Somebody asks for a run with faults; it is refused while one is in progress."""

    kind: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """Some items change at the source, and one is new."""

    every: int


@dataclass(frozen=True)
class Cancel:
    """Somebody cancels the run in progress, if there is one."""

    kind: str


@dataclass(frozen=True)
class Retry:
    """Somebody has the last run's job tried again, if it has failed or was cancelled."""

    kind: str


@dataclass(frozen=True)
class Serve:
    """A worker does what is there to do, or dies before or after its step of this number."""

    dies_at: int | None = None
    after: bool = False


@dataclass(frozen=True)
class Kill:
    """A real worker gets SIGKILL so many milliseconds after it has begun with something."""

    after: int


Step = Ask | Change | Cancel | Retry | Serve | Kill


def faults_of(kind: str) -> st.SearchStrategy[tuple[str, ...]]:
    pages = st.just(1) if kind == "rss" else st.integers(1, 4)
    answers = () if kind == "csv" else ("timeout", "http429", "http500", "truncate")
    crash = st.builds("crash@batch:{}".format, st.integers(1, 5))
    arranged = st.builds("{}@page:{}".format, st.sampled_from(("duplicate", "reorder")), pages)
    answered = st.builds("{}@page:{}".format, st.sampled_from((*answers, "duplicate")), pages)
    bent = st.builds("corrupt@record:{}".format, st.integers(1, ITEMS))
    # Nobody asks again for a record behind the bookmark: it would stay a reject.
    single = st.one_of(crash, crash, arranged, answered, *([] if kind == NEW else [bent]))
    return st.one_of(
        st.tuples(arranged, st.builds("crash@batch:{}".format, st.integers(2, 4))),
        st.lists(single, max_size=4).map(tuple),
    )


ASKS = st.sampled_from(KINDS).flatmap(lambda kind: st.builds(Ask, st.just(kind), faults_of(kind)))
SERVES = st.builds(Serve, st.sampled_from((None, 1, 2, 3, 4, 5, 6, 7)), st.booleans())
OTHERS = (
    st.builds(Kill, st.integers(0, 150))
    | st.builds(Change, st.integers(1, 4))
    | st.builds(Cancel, st.sampled_from(KINDS))
    | st.builds(Retry, st.sampled_from(KINDS))
)
STEPS = st.lists(st.one_of(ASKS, ASKS, SERVES, OTHERS), min_size=6, max_size=12)


# The world it happens in -------------------------------------------------------------------------


class World:
    """Sources of its own for each sequence; house, server and nursery are shared."""

    numbers: ClassVar = count()

    def __init__(self, stage: Stage, server: Server, workers: Nursery) -> None:
        self.stage, self.server, self.workers = stage, server, workers
        self.client = stage.person(Role.data_scientist)
        self.number = 0
        self.items: list[Item] = []
        self.revision = 0
        # What the source had when a run was asked for.
        self.asked: dict[str, list[Item]] = {}

    async def live(self, steps: list[Step]) -> None:
        self.number = next(self.numbers)
        self.asked = {}
        self.change(self.revised(items(ITEMS)))
        for kind in KINDS:
            await add(self.client, self.spec(kind))
        for step in steps:
            await self.take(step)
        await self.calm_down()
        clean = [await begun(self.client, self.name(kind)) for kind in KINDS]
        await self.serve(Serve())
        for kind, begun_run in zip(KINDS, clean, strict=True):
            run = await seen(self.client, begun_run["run_id"])
            assert (run["status"], run["error"], run["records_failed"]) == ("success", None, 0)
            self.asked[run["run_id"]] = self.items
            await self.has_all_of_the_source(kind)
            await self.has_a_whole_history(kind)

    def spec(self, kind: str) -> dict[str, Any]:
        if kind == NEW:
            return {"name": self.name(kind), "url": f"{self.server.url}/{NEW}", **OF_NEW}
        url = "" if kind == "csv" else self.server.url
        return spec(self.name(kind), kind, url, f"{self.number}/*.csv")

    def name(self, kind: str) -> str:
        return f"{kind}-{self.number}"

    def change(self, of: list[Item]) -> None:
        self.items = of
        self.server.answer = telling_news(of, answering(of))
        write_files(self.stage.resources.settings.home / "inbox" / str(self.number), of)

    async def take(self, step: Step) -> None:
        match step:
            case Ask(kind, faults):
                body = {"inject": faults}
                url = f"/api/v1/sources/{self.name(kind)}/run"
                answer = await self.client.post(url, json=body)
                assert answer.status_code in (202, 409)
                if answer.status_code == 202:
                    self.asked[answer.json()["run_id"]] = self.items
            case Change(every):
                same = [one for one in self.items if one["id"] % every]
                other = [one for one in self.items if not one["id"] % every]
                changed = [one | {"name": f"{one['name']}+"} for one in other]
                new = len(self.items) + 1
                news = self.revised([*changed, {"id": new, "name": f"Item {new}"}])
                self.change(sorted([*same, *news], key=itemgetter("id")))
            case Cancel(kind):
                await self.cancel(kind)
            case Retry(kind):
                await self.retry(kind)
            case Serve():
                await self.serve(step)
            case Kill(after):
                await self.kill(after)

    def revised(self, of: list[Item]) -> list[Item]:
        first, self.revision = self.revision + 1, self.revision + len(of)
        return [one | {"changed": at} for at, one in enumerate(of, first)]

    async def runs(self, kind: str) -> list[dict[str, Any]]:
        """The newest first."""
        listed = await self.client.get("/api/v1/etl/runs", params={"source": self.name(kind)})
        found: list[dict[str, Any]] = listed.json()
        return found

    async def retry(self, kind: str) -> None:
        for run in (await self.runs(kind))[:1]:
            again = await self.client.post(f"/api/v1/jobs/{run['job_id']}/retry")
            ended = run["status"] in ("failed", "cancelled")
            assert again.status_code in ((202, 409) if ended else (409,))

    async def cancel(self, kind: str) -> None:
        for run in await self.runs(kind):
            if run["status"] == "in_progress":
                url = f"/api/v1/etl/runs/{run['run_id']}/cancel"
                assert (await self.client.post(url)).status_code in (202, 409)

    async def serve(self, step: Serve) -> None:
        await hurry(self.stage.resources)
        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(injection, "die", die)
            if step.dies_at:
                patch.setattr(Work, "step", dying(Work.step, step.dies_at, after=step.after))
            await executor.run_until_idle(self.stage.resources, OWNER)
        await self.restart()

    async def kill(self, after: int) -> None:
        resources = self.stage.resources
        await hurry(resources)
        if not await jobs.waiting(resources.database):
            return
        before = await self.claims()
        pid = await asyncio.to_thread(self.workers.start, resources.settings, OWNER)
        async with asyncio.timeout(PATIENCE):
            while await self.claims() == before:  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(0.01)
        await asyncio.sleep(after / 1000)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self.workers.wait, pid)
        await self.restart()

    async def claims(self) -> int:
        async with self.stage.resources.database.reading() as session:
            return await session.scalar(select(func.sum(Job.fence))) or 0

    async def restart(self) -> None:
        """Whatever the last worker held is free, as its supervisor sees to."""
        await self.stage.resources.database.write(partial(jobs.reap, owner_prefix=OWNER))

    async def calm_down(self) -> None:
        """What is in progress comes to an end: every job has three attempts."""
        for _ in range(20):
            await self.serve(Serve())
            async with self.stage.resources.database.reading() as session:
                if not await session.scalar(
                    select(func.count()).where(Job.status.not_in(FINISHED))
                ):
                    return
        raise AssertionError("some job never ends")

    # What holds in the end -----------------------------------------------------------------------

    async def has_all_of_the_source(self, kind: str) -> None:
        assert await stored(self.client, self.name(kind)) == titles(self.items)
        page = await self.client.get("/data", params={"source": self.name(kind), "limit": 100})
        for record in page.json()["data"][:: ITEMS - 1]:
            raw = (await self.client.get(f"/data/{record['id']}/raw")).json()
            assert str(raw["payload"]["id"]) == record["source_id"]

    async def has_a_whole_history(self, kind: str) -> None:
        async with self.stage.resources.database.reading() as session:
            query = select(Run).where(Run.source == self.name(kind)).order_by(Run.run_id)
            table = RAW_TABLES["api" if kind == NEW else kind]
            read: Counter[str] = Counter()
            for run in await session.scalars(query):
                assert run.status is not RunStatus.in_progress
                assert run.end_time is not None
                await add_up(session, run, table)
                await tell_a_whole_story(session, run)
                own = await read_by(session, run, table)
                read = read | own if kind == NEW else own
                if run.status is RunStatus.success:
                    has_read(read, self.asked.get(run.run_id, []))


async def read_by(session: Any, run: Run, table: Any) -> Counter[str]:
    """Of each item the latest state that the run has read, by the number of its changes."""
    found: Counter[str] = Counter()
    for payload in await session.scalars(select(table.payload).where(table.run_id == run.run_id)):
        for one in unpacked(payload):
            found[str(one["id"])] = max(found[str(one["id"])], state_of(one))
    return found


def has_read(read: Counter[str], asked: list[Item]) -> None:
    missed = {one["id"]: one for one in asked if read[str(one["id"])] < state_of(one)}
    assert not missed


def state_of(one: Item) -> int:
    name: str = one.get("name") or one["title"]
    return 1 + name.count("+")


def telling_news(of: list[Item], other: Answer) -> Answer:
    """Items in the order of their changes, from `since` on, and a cursor that keeps its place."""
    in_order = sorted(of, key=itemgetter("changed"))

    def answer(asked: Asked) -> Reply:
        if asked.path != f"/{NEW}":
            return other(asked)
        since, after = (int(asked.params.get(name, 0)) for name in ("since", "after"))
        found = [one for one in in_order if one["changed"] >= since and one["changed"] > after]
        more = found[PAGE - 1]["changed"] if len(found) > PAGE else None
        return Reply({"items": found[:PAGE], "next": more})

    return answer


async def add_up(session: Any, run: Run, table: Any) -> None:
    raw = select(table.batch, table.record_count).where(table.run_id == run.run_id)
    rows = (await session.execute(raw.order_by(table.batch))).all()
    assert [row.batch for row in rows] == list(range(1, run.batches + 1))
    assert sum(row.record_count for row in rows) == run.records_processed
    became = run.records_inserted + run.records_updated + run.records_unchanged
    left_out = run.records_processed - became - run.records_failed
    job = await session.get(Job, run.job_id)
    doubled = any("duplicate" in fault for fault in job.arguments["inject"])
    # Of a key twice in one batch the last counts, the other is none of these.
    assert left_out >= 0 if doubled else left_out == 0
    rejects = select(func.count()).where(Reject.run_id == run.run_id)
    assert await session.scalar(rejects) == run.records_failed


async def tell_a_whole_story(session: Any, run: Run) -> None:
    query = select(RunEvent).where(RunEvent.run_id == run.run_id).order_by(RunEvent.id)
    events = (await session.scalars(query)).all()
    kinds = [event.kind for event in events]
    job = await session.get(Job, run.job_id)
    # Tried again after its end, it ends once more; stopped before it began, no attempt had counted.
    tried_again = job.max_attempts > jobs.MAX_ATTEMPTS or kinds[0] == "ended"
    assert kinds.count("ended") == 1 or tried_again
    assert kinds[-1] == "ended"
    assert events[-1].details["status"] == run.status
    assert events[-1].details["processed"] == run.records_processed
    assert job.status in FINISHED
    met = Counter(one.details["fault"] for one in events if one.kind == "injected")
    assert met <= Counter(job.arguments["inject"])


def die() -> None:
    raise Killed


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    with nursery() as found:
        yield found


@pytest.fixture
def world(
    databases: Databases, workers: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setenv(KEY_NAME, KEY)
    monkeypatch.setattr(http, "sleep", no_time)
    monkeypatch.setattr(http, "SHARED", Budgets())
    (tmp_path / "home" / "inbox").mkdir(parents=True)
    with (
        serving(answering([])) as server,
        staged(databases, tmp_path / "home", allow_private_sources=("127.0.0.1",)) as stage,
    ):
        yield World(stage, server, workers)


def test_whatever_happens_the_source_is_stored_once_and_whole(
    databases: Databases, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # Failed attempts are no news here.
    sequences = SEQUENCES["postgresql" if databases.server_url else "sqlite"]

    @settings(BOUNDED, max_examples=sequences, derandomize=not CHAOS, print_blob=True)
    @given(STEPS)
    def any_sequence(steps: list[Step]) -> None:
        world.stage.do(world.live(steps))

    any_sequence()
