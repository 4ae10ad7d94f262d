"""Where a source stands, in words, and how to make it read everything again."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.schemas import Answer
from astralytiq.core.security import Actor
from astralytiq.engines.etl.cursor_values import Written

from . import incremental, service
from .increment import written
from .models import Checkpoint, Source
from .service import Spec


class CursorRead(Answer):
    field: str
    bookmark: Annotated[
        Written | None, Field(description="from where the next run reads; null: from the start")
    ]
    intervals: Annotated[
        list[tuple[Written | None, Written]],
        Field(description="of these values everything was read; null is the beginning"),
    ]
    remembered: Annotated[
        int, Field(description="rows on the edge, known by their hashes if they come again")
    ]


class CheckpointRead(Answer):
    source: str
    run_id: Annotated[str, Field(description="the last run that stored a batch")]
    batch: int
    updated_at: datetime
    cursor: Annotated[CursorRead | None, Field(description="of a source with a cursor_field")]


async def get(session: AsyncSession, name: str) -> CheckpointRead:
    spec = service.spec_of(await service.get_source(session, name))
    found = await find(session, name)
    return CheckpointRead(
        source=name,
        run_id=found.run_id,
        batch=found.batch,
        updated_at=found.updated_at,
        cursor=cursor_of(spec, found),
    )


async def find(session: AsyncSession, name: str) -> Checkpoint:
    if found := await session.scalar(select(Checkpoint).filter_by(source=name)):
        return found
    raise NotFound(f"The source {name!r} has no checkpoint: its next run reads from the start.")


def cursor_of(spec: Spec, checkpoint: Checkpoint) -> CursorRead | None:
    if spec.cursor_field is None:
        return None
    increment = incremental.of(spec, checkpoint)
    state = increment.state()
    return CursorRead(
        field=spec.cursor_field,
        bookmark=written(increment.reading_from()),
        intervals=state["intervals"],
        remembered=len(state["remembered"]),
    )


async def rewind(session: AsyncSession, actor: Actor, source: Source) -> None:
    """Forget where the source stands; its records stay, and are known again by the next run."""
    await service.close_abandoned_runs(session)
    await service.hold_source(session, source.name)
    if run := await service.run_in_progress(session, source.name):
        raise Conflict(f"Run {run.run_id} of this source is in progress: cancel it first.")
    await session.delete(await find(session, source.name))
    audit.record(session, actor, "source.rewound", f"source/{source.name}")
    await session.flush()
