"""Runs that read only what is new: from the checkpoint to the run, and back when it succeeds."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from . import events
from .batches import Batch, Position
from .increment import STATE, Increment
from .models import Checkpoint, Run
from .service import Spec


def take_up(
    spec: Spec,
    checkpoint: Checkpoint | None,
    run: Run,
    full_refresh: bool,
    position: Position | None,
) -> Increment | None:
    """What the run has to read; `position` is where an earlier attempt at it got to."""
    if spec.cursor_field is None:
        return None
    state = {} if full_refresh or checkpoint is None else checkpoint.state.get(STATE, {})
    increment = Increment(spec, state, run.start_time)
    if position:
        increment.go_on(position[STATE])
    return increment


def of(spec: Spec, checkpoint: Checkpoint) -> Increment:
    return Increment(spec, checkpoint.state.get(STATE, {}), checkpoint.updated_at)


async def only_new(
    found: AsyncGenerator[Batch], increment: Increment | None, check: Callable[[], None]
) -> AsyncGenerator[Batch]:
    async with aclosing(found):
        async for batch in found:
            sifted = await asyncio.to_thread(increment.sift, batch) if increment else batch
            if sifted.payloads:
                yield sifted
            else:
                check()  # Nothing is stored, where a stop would be noticed.


async def keep(session: AsyncSession, run: Run, increment: Increment | None) -> None:
    """Add what the run has read to the source's state, in the transaction of its success."""
    if increment is None:
        return
    tell(session, run, increment)
    checkpoint = await session.scalar(select(Checkpoint).filter_by(source=run.source))
    if checkpoint:
        checkpoint.state = checkpoint.state | {STATE: increment.state()}


def tell(session: AsyncSession, run: Run, increment: Increment) -> None:
    if skipped := increment.skipped:
        words = f"Left out {skipped:,} records, read by earlier runs or before cursor_start."
        events.record(session, run.run_id, "skipped", words, records=skipped)
        if not run.records_processed:
            run.profile = {"not_modified": True}
    if unordered := increment.unordered:
        words = (
            f"{unordered:,} records have no {increment.field!r} that can be compared with the "
            "others: they are read each time."
        )
        events.record(session, run.run_id, "unordered", words, records=unordered)
