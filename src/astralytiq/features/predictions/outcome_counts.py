"""What truths that are told add to the counts by the hour, and take back from them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.features.registry.models import ModelVersion

from . import counting, tallies
from .models import QualityHour, ShadowResult, ShadowTally
from .outcome_checks import REGRESSION
from .tallies import Tally
from .truths import Change, parted

Gathered = defaultdict[counting.Key, list[Tally]]


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
