"""How a source's fields change: stored with the batch that shows it, and what its policy allows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl import drift as engine
from astralytiq.engines.etl.drift import Change, Seen

from . import events
from .models import Drift, Run, SourceFields

MOST_EVENTS = 20  # of a batch; `Drift` has them all


async def record(session: AsyncSession, run: Run, seen: Seen, policy: str) -> None:
    """Note what a batch shows; under `freeze` refuse a batch that brings anything new.

    It comes first in the batch's transaction: the refusal keeps the note, and nothing else.
    """
    if not seen.records:
        return
    row = await session.scalar(select(SourceFields).filter_by(source=run.source))
    known = row.fields if row else {}
    found = engine.changes(known, seen, run.run_id)
    await store(session, run, found)
    if found and policy == "freeze":
        raise Invalid(refusal(run.source, found), keep=True)
    later = engine.known_after(known, seen, run.run_id, leave_out=policy == "discard")
    if row:
        row.fields, row.run_id = later, run.run_id
    else:
        session.add(SourceFields(source=run.source, fields=later, run_id=run.run_id))


async def record_removals(session: AsyncSession, run: Run) -> None:
    """At the end of a run, the fields that it has not shown."""
    row = await session.scalar(select(SourceFields).filter_by(source=run.source))
    if row is None:
        return
    found = engine.removals(row.fields, run.run_id)
    await store(session, run, found)
    gone = {one.field: row.fields[one.field] | {"gone": True} for one in found}
    row.fields = row.fields | gone


async def store(session: AsyncSession, run: Run, found: Sequence[Change]) -> None:
    if not found:
        return
    origin = {"source": run.source, "run_id": run.run_id}
    await session.execute(insert(Drift), [vars(one) | origin for one in found])
    for one in found[:MOST_EVENTS]:
        tell(session, run, one)


def tell(session: AsyncSession, run: Run, one: Change) -> None:
    words = f"{one.field!r}: {one.before or 'new'} to {one.after or 'gone'}"
    events.record(session, run.run_id, "drift", words, field=one.field, change=one.change)


def refusal(source: str, found: Sequence[Change]) -> str:
    shown = ", ".join(
        f"{one.field!r} ({one.before + ' to ' if one.before else 'new: '}{one.after})"
        for one in found[:5]
    )
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return (
        f"The source {source!r} has changed: {shown}{more}. Its schema_policy is 'freeze': mend "
        "the source, or run it once with 'evolve' to accept the change."
    )


async def fields_let_in(
    session: AsyncSession, source: str, policy: str, run_id: str
) -> frozenset[str] | None:
    """Under `discard` the fields that go to a record's metadata; None for all."""
    row = await session.scalar(select(SourceFields).filter_by(source=source))
    if policy != "discard" or row is None or engine.is_first_look(row.fields, run_id):
        return None
    return frozenset(name for name, entry in row.fields.items() if not entry["left_out"])


async def list_drift(
    session: AsyncSession, source: str | None, run_id: str | None, limit: int, offset: int
) -> tuple[Sequence[Drift], int]:
    wanted: dict[str, Any] = {"source": source, "run_id": run_id}
    matching: Select[Drift] = select(Drift).filter_by(
        **{name: value for name, value in wanted.items() if value is not None}
    )
    total = await session.scalar(matching.with_only_columns(func.count(Drift.id))) or 0
    query = matching.order_by(Drift.id.desc()).limit(limit).offset(offset)
    return (await session.scalars(query)).all(), total
