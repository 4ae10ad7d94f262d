"""What must be so before a truth is taken: all that is wrong with it is named at once."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Conflict, Fault, Invalid
from astralytiq.core.security import Actor
from astralytiq.features.registry.models import ModelVersion

from . import service, tallies
from .models import Prediction
from .truths import Asked, Place, Told, parted

REGRESSION, CLUSTERING = "regression", "clustering"
MOST_LABELS = 1_000_000  # of all rows of the predictions named at once


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
