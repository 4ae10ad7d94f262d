"""Begins runs: of one source, or of all; one source has one run at a time."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import new_id
from astralytiq.core.errors import Conflict
from astralytiq.core.security import Actor

from . import injection, service
from .models import Run, Source


async def start_run(
    session: AsyncSession,
    actor: Actor,
    name: str,
    full_refresh: bool = False,
    trigger: str = "manual",
    inject: Sequence[str] = (),
    dry_run: bool = False,
) -> Run:
    """Queue a run of the source, from its beginning. One source has one run at a time."""
    # Held, so that of two at once the second can name the first's run.
    source = await service.hold_source(session, name)
    await service.close_abandoned_runs(session)
    if not source.enabled:
        raise Conflict(f"The source {name!r} is disabled: enable it first.")
    injection.refuse_impossible(service.spec_of(source), inject)
    if run := await service.run_in_progress(session, name):
        raise Conflict(
            f"Run {run.run_id} of {name!r} is in progress: wait for its end, or cancel it."
        )
    run = Run(
        run_id=new_id(), source=name, trigger=trigger, full_refresh=full_refresh, dry_run=dry_run
    )
    # What nobody asked for by hand is the business of the source's owner.
    owner_id = actor.id or source.owner_id
    job = await jobs.enqueue(
        session, service.JOB, owner_id=owner_id, run_id=run.run_id, full_refresh=full_refresh,
        inject=list(inject), dry_run=dry_run,
    )  # fmt: skip
    run.job_id = job.id if job else None
    session.add(run)
    more: dict[str, Any] = {"inject": list(inject)} if inject else {}
    more |= {"dry_run": True} if dry_run else {}
    audit.record(session, actor, "run.started", f"run/{run.run_id}", source=name, **more)
    await session.flush()
    service.announce(session, run)
    return run


async def start_all(session: AsyncSession, actor: Actor) -> list[Run]:
    """A run of each enabled source; where one is in progress already, that one."""
    await service.close_abandoned_runs(session)
    query = select(Source.name).where(Source.enabled).order_by(Source.name)
    names = (await session.scalars(query)).all()
    return [await run_of(session, actor, name) for name in names]


async def run_of(session: AsyncSession, actor: Actor, name: str) -> Run:
    """The run in progress, or a new one, also if another request begins one at this moment."""
    if known := await service.run_in_progress(session, name):
        return known
    try:
        async with session.begin_nested():
            return await start_run(session, actor, name)
    except (IntegrityError, Conflict):
        if known := await service.run_in_progress(session, name):
            return known
        raise
