"""What is left of values where nobody can tell whose they were: samples, examples, quoted words."""

import re
from collections.abc import Sequence
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobEvent
from astralytiq.engines.etl import profiles

from . import limits, rehearsal
from .models import Drift, Run, RunEvent

PART = 100  # runs that are looked at together
QUOTED = re.compile(rf"{re.escape(limits.BECAUSE)}.*\.(?= See GET )", re.DOTALL)


async def forget_values(work: Work, source: str) -> None:
    """Of all runs of the source."""
    await work.step(
        lambda session: session.execute(
            update(Drift).where(Drift.source == source).values(examples=[])
        )
    )
    after = ""
    while part := await next_runs(work, source, after):
        after = part[-1]
        await work.step(partial(forget_of, part))


async def next_runs(work: Work, source: str, after: str) -> Sequence[str]:
    query = select(Run.run_id).where(Run.source == source, Run.run_id > after)
    async with work.resources.database.reading() as session:
        return (await session.scalars(query.order_by(Run.run_id).limit(PART))).all()


async def forget_of(run_ids: Sequence[str], session: AsyncSession) -> None:
    for run in await session.scalars(select(Run).where(Run.run_id.in_(run_ids))):
        run.profile = profiles.without_values(run.profile)
        if run.error and QUOTED.search(run.error):
            await forget_reason(session, run)
    told = RunEvent.run_id.in_(run_ids), RunEvent.kind == rehearsal.WOULD_REJECT
    await session.execute(delete(RunEvent).where(*told))


async def forget_reason(session: AsyncSession, run: Run) -> None:
    """The first reject's reason, which quotes its value, wherever the run's failure is told."""
    run.error = without_reason(run.error or "")
    for event in await session.scalars(select(RunEvent).filter_by(run_id=run.run_id)):
        event.message = without_reason(event.message)
    if run.job_id and (job := await session.get(Job, run.job_id)):
        job.error = job.error and without_reason(job.error)
        for line in await session.scalars(select(JobEvent).filter_by(job_id=job.id)):
            line.message = without_reason(line.message)


def without_reason(words: str) -> str:
    return QUOTED.sub(".", words)
