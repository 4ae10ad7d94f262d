"""Jobs: claimed once, fenced, resumed, retried, cancelled, and given back when a worker dies."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import executor, jobs
from astralytiq.core.clock import DatabaseNow
from astralytiq.core.errors import Conflict, Invalid, NotFound
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Claim, Job, JobStatus, LeaseLost, Transient
from astralytiq.core.resources import Resources
from tests.conftest import RunJobs
from tests.patience import soon, until

pytestmark = pytest.mark.anyio


class Recorder:
    """What the test's handlers saw and shall do."""

    def __init__(self) -> None:
        self.checkpoints: list[dict[str, Any] | None] = []
        self.failures: list[Exception] = []


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    seen = Recorder()

    async def count(work: Work, to: int) -> dict[str, Any]:
        seen.checkpoints.append(work.checkpoint)
        for number in range((work.checkpoint or {"done": 0})["done"], to):
            await work.step(nothing, checkpoint={"done": number + 1}, progress=(number + 1) / to)
            if seen.failures:
                raise seen.failures.pop(0)
        return {"counted": to}

    monkeypatch.setitem(jobs.HANDLERS, "tests.count", count)
    return seen


async def nothing(session: AsyncSession) -> None:
    return None


async def queue(resources: Resources, **options: Any) -> Job:
    job = await resources.database.write(
        lambda session: jobs.enqueue(session, "tests.count", to=3, **options)
    )
    assert job is not None
    return job


async def read(resources: Resources, job_id: str) -> Job:
    async with resources.database.reading() as session:
        return await jobs.get(session, job_id)


async def claim(resources: Resources, owner: str = "w1", lease: float = 60) -> Claim | None:
    return await resources.database.write(lambda session: jobs.claim(session, owner, lease))


async def test_a_job_runs_once_and_keeps_its_result(
    resources: Resources, recorder: Recorder, run_jobs: RunJobs
) -> None:
    job = await queue(resources)
    await run_jobs()
    await run_jobs()
    found = await read(resources, job.id)
    assert (found.status, found.result, found.progress) == ("succeeded", {"counted": 3}, 1.0)
    assert recorder.checkpoints == [None]


async def test_two_workers_never_claim_the_same_job(
    resources: Resources, recorder: Recorder
) -> None:
    for _ in range(5):
        await queue(resources)
    claims = await asyncio.gather(*(claim(resources, f"w{n}") for n in range(8)))
    taken = [held.id for held in claims if held]
    assert len(taken) == len(set(taken)) == 5


async def test_a_key_queues_one_job(resources: Resources) -> None:
    async def twice(session: AsyncSession) -> list[Job | None]:
        return [
            await jobs.enqueue(session, "tests.count", idempotency_key="k", to=1) for _ in range(2)
        ]

    first, second = await resources.database.write(twice)
    assert first is not None
    assert second is None


async def test_a_transient_failure_is_tried_again_from_the_checkpoint(
    resources: Resources, recorder: Recorder, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    recorder.failures = [Transient("the source is away")]
    job = await queue(resources)
    await run_jobs()
    found = await read(resources, job.id)
    assert (found.status, found.attempt) == ("succeeded", 2)
    assert recorder.checkpoints == [None, {"done": 1}]


async def test_a_refusal_is_final(
    resources: Resources, recorder: Recorder, run_jobs: RunJobs
) -> None:
    recorder.failures = [Invalid("the file has no header")]
    job = await queue(resources)
    await run_jobs()
    found = await read(resources, job.id)
    assert (found.status, found.attempt, found.error) == ("failed", 1, "the file has no header")


async def test_attempts_end_and_a_person_can_try_again(
    resources: Resources, recorder: Recorder, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)
    recorder.failures = [Transient("away"), Transient("away")]
    job = await queue(resources, max_attempts=2)
    await run_jobs()
    assert (await read(resources, job.id)).status == JobStatus.failed
    await resources.database.write(lambda session: jobs.retry(session, job.id))
    await run_jobs()
    assert (await read(resources, job.id)).status == JobStatus.succeeded
    assert recorder.checkpoints[-1] == {"done": 2}


async def test_a_zombie_writes_nothing(resources: Resources, recorder: Recorder) -> None:
    """Its lease ended and another worker took over: the fence refuses its step and its end."""
    job = await queue(resources)
    zombie = await claim(resources, "zombie", lease=-1)
    assert zombie
    assert await resources.database.write(jobs.reap) == 1
    successor = await claim(resources, "successor")
    assert successor
    assert successor.fence > zombie.fence
    with pytest.raises(LeaseLost):
        await Work(resources, zombie).step(nothing, checkpoint={"done": 99})
    with pytest.raises(LeaseLost):
        await resources.database.write(
            lambda session: jobs.finish(session, zombie, JobStatus.succeeded)
        )
    found = await read(resources, job.id)
    assert (found.status, found.lease_owner, found.checkpoint) == ("running", "successor", None)


async def test_a_living_lease_is_left_alone_but_a_dead_house_gives_back_at_once(
    resources: Resources,
) -> None:
    job = await queue(resources)
    await claim(resources, "home:abc:1", lease=60)
    reap = resources.database.write
    assert await reap(jobs.reap) == 0
    assert await reap(lambda session: jobs.reap(session, owner_prefix="home:other:")) == 0
    assert await reap(lambda session: jobs.reap(session, owner_prefix="home:abc:")) == 1
    assert (await read(resources, job.id)).status == JobStatus.queued


async def test_a_job_that_kills_its_workers_fails_in_the_end(resources: Resources) -> None:
    job = await queue(resources, max_attempts=2)
    for expected in (JobStatus.queued, JobStatus.failed):
        assert await claim(resources, lease=-1)
        await resources.database.write(jobs.reap)
        assert (await read(resources, job.id)).status == expected


async def test_a_waiting_job_is_cancelled_at_once(
    resources: Resources, recorder: Recorder, run_jobs: RunJobs
) -> None:
    job = await queue(resources)
    await resources.database.write(lambda session: jobs.request_cancel(session, job.id))
    await run_jobs()
    assert (await read(resources, job.id)).status == JobStatus.cancelled
    assert recorder.checkpoints == []
    with pytest.raises(Conflict):
        await resources.database.write(lambda session: jobs.request_cancel(session, job.id))


async def test_a_running_job_stops_at_its_next_step(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancel_itself(work: Work, to: int) -> None:
        await work.step(nothing, checkpoint={"done": 1})
        await resources.database.write(lambda s: jobs.request_cancel(s, work.claim.id))
        await work.step(nothing, checkpoint={"done": 2})

    monkeypatch.setitem(jobs.HANDLERS, "tests.count", cancel_itself)
    job = await queue(resources)
    await executor.run_until_idle(resources, "w")
    found = await read(resources, job.id)
    assert (found.status, found.checkpoint) == ("cancelled", {"done": 1})


async def lease_ends_in(seconds: float, session: AsyncSession) -> None:
    await session.execute(update(Job).values(lease_until=DatabaseNow(seconds)))


async def test_the_heartbeat_keeps_the_lease_and_stores_reports(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler computes for longer than its lease, by a clock that runs a second a look."""
    monkeypatch.setattr(executor, "REPORT_SECONDS", 0.01)
    monkeypatch.setattr(executor, "monotonic", itertools.count().__next__)
    lease = resources.settings.job_lease_seconds

    async def renewed() -> bool:
        query = select(Job.id).where(Job.lease_until > DatabaseNow(lease * 0.6))
        async with resources.database.reading() as session:
            return await session.scalar(query) is not None

    async def stored() -> bool:
        return (await read(resources, job.id)).progress == 0.5

    async def compute(work: Work, to: int) -> None:
        work.report(0.5, "growing", "tree 1 of 2")
        await until(stored)
        for _ in range(3):  # Nothing new to report.
            await resources.database.write(partial(lease_ends_in, lease * 0.5))
            await until(renewed)
        assert await resources.database.write(jobs.reap) == 0

    monkeypatch.setitem(jobs.HANDLERS, "tests.count", compute)
    job = await queue(resources)
    await executor.run_until_idle(resources, "w")
    found = await read(resources, job.id)
    assert (found.status, found.attempt) == (JobStatus.succeeded, 1)


async def test_unknown_jobs_are_told_so(resources: Resources) -> None:
    with pytest.raises(NotFound):
        await read(resources, "nothing")


@pytest.fixture
async def forever(resources: Resources) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    life = asyncio.create_task(executor.run_forever(resources, "w", stop))
    yield stop
    stop.set()
    await soon(life)


async def test_a_worker_finds_new_work_by_itself_and_leaves_when_told(
    resources: Resources, recorder: Recorder, forever: asyncio.Event
) -> None:
    job = await queue(resources)

    async def succeeded() -> bool:
        return (await read(resources, job.id)).status == JobStatus.succeeded

    await until(succeeded)
    forever.set()


async def test_a_worker_told_to_leave_while_it_takes_a_job_hands_that_back(
    resources: Resources, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, take = asyncio.Event(), jobs.claim

    async def told_meanwhile(session: AsyncSession, owner: str, lease: float) -> Claim | None:
        held = await take(session, owner, lease)
        stop.set()
        return held

    monkeypatch.setattr(jobs, "claim", told_meanwhile)
    job = await queue(resources)
    await soon(executor.run_forever(resources, "w", stop))
    found = await read(resources, job.id)
    assert (found.status, found.attempt, found.checkpoint) == (JobStatus.queued, 0, None)
