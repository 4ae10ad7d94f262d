"""Rules for the truth that is told of predictions afterwards, and what it adds to the counts.

The same truth again changes nothing. Another one replaces it, moves the counts along, and stays on
record: with the row what was told before, in the audit trail that it was changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, bulk
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Fault, Invalid
from astralytiq.core.security import Actor
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion

from . import counting, service, tallies
from .inputs import refuse
from .models import Outcome, Prediction, QualityHour, ShadowResult, ShadowTally
from .schemas import PredictionRead
from .schemas_outcomes import OutcomeRead, OutcomesRead, OutcomesStored, OutcomesTold, OutcomeTold
from .tallies import Tally

TABLE = cast(Table, Outcome.__table__)
REGRESSION, CLUSTERING = "regression", "clustering"
MOST_BEFORE = 10
MOST_LABELS = 1_000_000  # of all rows of the predictions named at once
PART_LABELS = 50_000
PART_IDS = 500

Loc = tuple[str | int, ...]
Place = tuple[str, int]  # a prediction, and its row
Gathered = defaultdict[counting.Key, list[Tally]]


@dataclass(frozen=True)
class Told:
    """The truth of one row, and where it stands in the body."""

    prediction_id: str
    row: int
    outcome: Any
    observed_at: datetime | None
    loc: Loc

    @property
    def place(self) -> Place:
        return self.prediction_id, self.row


@dataclass(frozen=True)
class Asked:
    """A prediction that truths are told of."""

    id: str
    model_version_id: int
    model: str
    rows: int
    actor_id: int | None
    created_at: datetime

    @property
    def hour(self) -> datetime:
        return self.created_at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Change:
    """A row whose truth is new, or another than before."""

    asked: Asked
    told: Told
    predicted: Any
    before: Outcome | None


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


# Checking ---------------------------------------------------------------------------------------


async def asked_of(
    session: AsyncSession, actor: Actor, model: str, told: Sequence[Told]
) -> dict[str, Asked]:
    """The predictions that are there and `actor`'s own; locked, so that two tellers take turns."""
    ids = sorted({one.prediction_id for one in told if one.prediction_id.isprintable()})
    columns = (Prediction.id, Prediction.model_version_id, Prediction.model, Prediction.rows,
               Prediction.actor_id, Prediction.created_at)  # fmt: skip
    found: dict[str, Asked] = {}
    for part in parted(ids):
        query = select(*columns).where(Prediction.id.in_(part)).order_by(Prediction.id)
        for row in await session.execute(query.with_for_update()):
            one = Asked(*row)
            if one.model == model and service.may_see(actor, one.actor_id):
                found[one.id] = one
    if (labels := sum(one.rows for one in found.values())) > MOST_LABELS:
        raise Invalid(
            f"These predictions have {labels} rows, more than {MOST_LABELS} at a time: send the "
            "outcomes in parts."
        )
    return found


def parted(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + PART_IDS] for start in range(0, len(ids), PART_IDS))


async def versions_of(session: AsyncSession, ids: set[int]) -> dict[int, ModelVersion]:
    query = select(ModelVersion).where(ModelVersion.id.in_(ids))
    return {version.id: version for version in await session.scalars(query)}


def all_faults(
    model: str, told: Sequence[Told], asked: dict[str, Asked], versions: dict[int, ModelVersion]
) -> Iterator[Fault]:
    seen: set[Place] = set()
    labels = {version_id: allowed(version) for version_id, version in versions.items()}
    for one in told:
        if one.prediction_id not in asked:
            words = f"there is no prediction {one.prediction_id!r} of {model!r} by you"
            yield Fault((*one.loc, "prediction_id"), words, "unknown_prediction")
            continue
        version_id = asked[one.prediction_id].model_version_id
        if words := fault_of(one, asked[one.prediction_id], versions[version_id].task,
                             labels[version_id]):  # fmt: skip
            yield Fault(one.loc, words, "wrong_outcome")
        elif one.place in seen:
            yield Fault(one.loc, "this row is named twice", "duplicate")
        seen.add(one.place)


def allowed(version: ModelVersion) -> set[str]:
    if version.task == CLUSTERING:
        raise Conflict(
            f"Clusters have no truth: {version.algorithm} was trained without a target, so there "
            "is nothing to compare an outcome with."
        )
    return {tallies.key(label) for label in version.classes or []}


def fault_of(told: Told, asked: Asked, task: str, labels: set[str]) -> str:
    if told.row >= asked.rows:
        return (
            f"row {told.row} is none of the {asked.rows} rows of this prediction (0 is the first)"
        )
    if task == REGRESSION:
        return "" if is_number(told.outcome) else f"{told.outcome!r} is no finite number"
    if tallies.key(told.outcome) in labels:
        return ""
    some = ", ".join(sorted(label[1:-1] for label in labels)[:20])
    return f"{told.outcome!r} is none of the version's classes: {some}"[:1000]


def is_number(value: Any) -> bool:
    return not isinstance(value, bool) and tallies.is_usable(value)


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
    return {"outcome": outcome.outcome, **{name: at.isoformat() for name, at in times.items()}}


# Counting ---------------------------------------------------------------------------------------


async def count(
    session: AsyncSession, versions: dict[int, ModelVersion], changes: Sequence[Change]
) -> None:
    """In the transaction of the change: the counts are exact at any moment."""
    hours: Gathered = defaultdict(list)
    for change in changes:
        version_id = change.asked.model_version_id
        numbers = versions[version_id].task == REGRESSION
        hours[version_id, change.asked.hour].append(moved(change, change.predicted, numbers))
    await counting.add(session, QualityHour, summed(hours))
    await counting.add(session, ShadowTally, summed(await beside(session, versions, changes)))


def summed(gathered: Gathered) -> dict[counting.Key, Tally]:
    return {key: tallies.total(found) for key, found in gathered.items()}


def moved(change: Change, predicted: Any, numbers: bool) -> Tally:
    """What the change adds: the new truth, and the earlier one taken back."""
    fresh = tallies.judged(change.told.outcome, predicted, numbers=numbers)
    if change.before is None:
        return fresh
    past = tallies.judged(change.before.outcome, predicted, numbers=numbers, times=-1)
    return tallies.added(fresh, past)


async def beside(
    session: AsyncSession, versions: dict[int, ModelVersion], changes: Sequence[Change]
) -> Gathered:
    """The same of champion and challenger, where one scored these predictions."""
    by_prediction: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_prediction[change.asked.id].append(change)
    found: Gathered = defaultdict(list)
    for part in parted(list(by_prediction)):
        query = select(ShadowResult).where(ShadowResult.prediction_id.in_(part))
        for result in await session.scalars(query):
            for change in by_prediction[result.prediction_id]:
                version_id = change.asked.model_version_id
                numbers = versions[version_id].task == REGRESSION
                found[result.shadow_id, version_id].append(both(change, result, numbers))
    return found


def both(change: Change, result: ShadowResult, numbers: bool) -> Tally:
    return {
        "champion": moved(change, change.predicted, numbers),
        "challenger": moved(change, result.predictions[change.told.row], numbers),
    }
