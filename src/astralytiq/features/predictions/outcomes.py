"""Rules for the truth that is told of predictions afterwards.

The same truth again changes nothing. Another one replaces it, moves the counts along, and stays on
record: with the row what was told before, in the audit trail that it was changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, bulk
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Fault
from astralytiq.core.security import Actor
from astralytiq.features.registry import service as registry

from . import service, tallies
from .inputs import refuse
from .models import Outcome, Prediction
from .outcome_checks import all_faults, asked_of, versions_of
from .outcome_counts import count
from .schemas import PredictionRead
from .schemas_outcomes import OutcomeRead, OutcomesRead, OutcomesStored, OutcomesTold, OutcomeTold
from .truths import PART_IDS, Asked, Change, Loc, Place, Told

TABLE = cast(Table, Outcome.__table__)
MOST_BEFORE = 10
PART_LABELS = 50_000

# One prediction ---------------------------------------------------------------------------------


async def tell(
    session: AsyncSession, actor: Actor, prediction_id: str, body: OutcomeTold
) -> OutcomesRead:
    prediction = await service.get(session, actor, prediction_id)
    truths = [body.outcome] if body.outcomes is None else body.outcomes
    name = "outcome" if body.outcomes is None else "outcomes"
    if len(truths) != prediction.rows:
        words = (
            f"{len(truths)} outcomes for {prediction.rows} rows: send outcomes with one for each "
            "row, null where it is not known yet"
        )
        refuse([Fault(("body", name), words, "wrong_count")])
    told = [
        Told(prediction.id, row, truth, body.observed_at, loc_of(name, row))
        for row, truth in enumerate(truths)
        if truth is not None
    ]
    await store(session, actor, prediction.model, told)
    return await read(session, prediction)


def loc_of(name: str, row: int) -> Loc:
    return ("body", name) if name == "outcome" else ("body", name, row)


async def read(session: AsyncSession, prediction: Prediction) -> OutcomesRead:
    return OutcomesRead(
        prediction_id=prediction.id,
        model=prediction.model,
        version=prediction.version,
        rows=prediction.rows,
        outcomes=await of_prediction(session, prediction.id),
    )


async def of_prediction(session: AsyncSession, prediction_id: str) -> list[OutcomeRead]:
    query = select(Outcome).where(Outcome.prediction_id == prediction_id).order_by(Outcome.row)
    return [OutcomeRead.model_validate(one) for one in await session.scalars(query)]


async def described(session: AsyncSession, prediction: Prediction) -> PredictionRead:
    """With what was true of its rows, as far as somebody told."""
    told = await of_prediction(session, prediction.id)
    return PredictionRead.model_validate(prediction).model_copy(update={"outcomes": told})


# Many predictions -------------------------------------------------------------------------------


async def tell_many(
    session: AsyncSession, actor: Actor, name: str, body: OutcomesTold
) -> OutcomesStored:
    await registry.get(session, name)
    told = [
        Told(one.prediction_id, one.row, one.outcome, one.observed_at, ("body", "outcomes", place))
        for place, one in enumerate(body.outcomes)
    ]
    return await store(session, actor, name, told)


async def store(
    session: AsyncSession, actor: Actor, model: str, told: Sequence[Told]
) -> OutcomesStored:
    """All of it or, naming everything that is wrong with it, nothing."""
    asked = await asked_of(session, actor, model, told)
    versions = await versions_of(session, {one.model_version_id for one in asked.values()})
    faults = list(all_faults(model, told, asked, versions))
    if faults:
        refuse(faults)
    changes = await changes_of(session, asked, told)
    await count(session, versions, changes)  # First: writing forgets what was told before.
    await write(session, actor, changes)
    replaced = sum(change.before is not None for change in changes)
    return OutcomesStored(
        model=model,
        new=len(changes) - replaced,
        replaced=replaced,
        unchanged=len(told) - len(changes),
    )


# Storing ----------------------------------------------------------------------------------------


async def changes_of(
    session: AsyncSession, asked: dict[str, Asked], told: Sequence[Told]
) -> list[Change]:
    """Those that change something. Predictions are read in parts: each may have 10,000 labels."""
    by_prediction: defaultdict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_prediction[one.prediction_id].append(one)
    changes: list[Change] = []
    for part in parts_of(asked.values()):
        known = await outcomes_of(session, part)
        labels = await labels_of(session, part)
        for prediction_id in part:
            for one in by_prediction[prediction_id]:
                before = known.get(one.place)
                if before is None or tallies.key(before.outcome) != tallies.key(one.outcome):
                    predicted = labels[prediction_id][one.row]
                    changes.append(Change(asked[prediction_id], one, predicted, before))
    return changes


def parts_of(asked: Iterable[Asked]) -> Iterator[list[str]]:
    part: list[str] = []
    labels = 0
    for one in asked:
        if part and (len(part) == PART_IDS or labels + one.rows > PART_LABELS):
            yield part
            part, labels = [], 0
        part.append(one.id)
        labels += one.rows
    if part:
        yield part


async def outcomes_of(session: AsyncSession, ids: Sequence[str]) -> dict[Place, Outcome]:
    query = select(Outcome).where(Outcome.prediction_id.in_(ids))
    return {(one.prediction_id, one.row): one for one in await session.scalars(query)}


async def labels_of(session: AsyncSession, ids: Sequence[str]) -> dict[str, list[Any]]:
    labels = Prediction.outputs["predictions"]
    query = select(Prediction.id, labels).where(Prediction.id.in_(ids))
    return {row[0]: row[1] for row in await session.execute(query)}


async def write(session: AsyncSession, actor: Actor, changes: Sequence[Change]) -> None:
    now = utc_now()
    fresh = [row_of(one, actor, now) for one in changes if one.before is None]
    columns = {column.name: [row[column.name] for row in fresh] for column in TABLE.columns}
    await bulk.append(session, bulk.rows_of(TABLE, columns, for_sqlite=bulk.is_sqlite(session)))
    replaced = [change for change in changes if change.before is not None]
    for change in replaced:
        for name, value in row_of(change, actor, now).items():
            setattr(change.before, name, value)
    await session.flush()
    if replaced:
        note(session, actor, replaced)


def note(session: AsyncSession, actor: Actor, replaced: Sequence[Change]) -> None:
    """Without values: the audit trail is never erased, and what was told may be."""
    asked = {change.asked.id: change.asked for change in replaced}
    first, *others = asked.values()
    resource = f"model/{first.model}" if others else f"prediction/{first.id}"
    counts: dict[str, Any] = {"predictions": len(asked)} if others else {}
    audit.record(session, actor, "outcome.replaced", resource, rows=len(replaced), **counts)


def row_of(change: Change, actor: Actor, now: datetime) -> dict[str, Any]:
    told, before = change.told, change.before
    return {
        "prediction_id": told.prediction_id,
        "row": told.row,
        "predicted": change.predicted,
        "outcome": told.outcome,
        "observed_at": told.observed_at or now,
        "actor_id": actor.id,
        "told_at": now,
        "before": [*before.before, earlier(before)][-MOST_BEFORE:] if before else [],
    }


def earlier(outcome: Outcome) -> dict[str, Any]:
    times = {"observed_at": outcome.observed_at, "told_at": outcome.told_at}
    shown = {name: at.isoformat().replace("+00:00", "Z") for name, at in times.items()}
    return {"outcome": outcome.outcome, **shown}
