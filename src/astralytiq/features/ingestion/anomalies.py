"""Runs that differ from their source's own history, judged once, when they succeed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.schemas import Answer
from astralytiq.engines.etl import anomalies as engine
from astralytiq.engines.etl import profiles
from astralytiq.engines.etl.anomalies import Anomaly, Floor

from . import events
from .models import Run, RunEvent, RunStatus

KIND = "anomaly"
HISTORY = 30  # runs before this one
ENOUGH = 1000  # records, below which a run's time is that of its beginning and end
# A change of less than 3.5 times these is never an anomaly, however even the history is.
FLOORS = {
    "records_processed": Floor(1, 0.05),
    "failed_ratio": Floor(0.01),
    "milliseconds_per_record": Floor(0.05, 0.5),
    "null_ratio": Floor(0.02),
}


class AnomalyRead(Answer):
    """`score`: how many robust standard deviations from the median; `since`: when the first of the
    runs began that show it without a break."""

    id: int
    run_id: str
    source: str
    measure: str
    value: float
    expected_low: float
    expected_high: float
    score: float
    since: datetime
    message: str
    created_at: datetime


async def record(session: AsyncSession, run: Run) -> None:
    """Compare a run that has just succeeded, and note as its events how it differs."""
    history = await before(session, run)
    if len(history) < engine.LEAST_HISTORY or is_silent(run):
        return
    found = engine.judge([measures(one) for one in history], measures(run), FLOORS)
    earlier = await beginnings(session, history[0].run_id) if found else {}
    for one in found:
        since = earlier.get(one.measure, run.start_time.isoformat())
        details = {name: round(value, 6) for name, value in numbers_of(one).items()}
        events.record(
            session, run.run_id, KIND, worded(one), measure=one.measure, since=since, **details
        )


def numbers_of(one: Anomaly) -> dict[str, float]:
    return {
        "value": one.value, "expected_low": one.low, "expected_high": one.high, "score": one.score
    }  # fmt: skip


def worded(one: Anomaly) -> str:
    return (
        f"{one.measure} is {one.value:.4g} where {one.low:.4g} to {one.high:.4g} was to be "
        f"expected (score {one.score:+.1f})."
    )


async def before(session: AsyncSession, run: Run) -> Sequence[Run]:
    """The runs to measure it by, newest first: successful ones that read in the same way."""
    query = select(Run).where(
        Run.source == run.source,
        Run.run_id < run.run_id,  # Their ids are in the order of their making.
        Run.status == RunStatus.success,
        Run.kind == run.kind,
        Run.full_refresh == run.full_refresh,
        Run.dry_run.is_(False),
    )
    found = await session.scalars(query.order_by(Run.run_id.desc()).limit(HISTORY))
    return [one for one in found if not is_silent(one)]


def is_silent(run: Run) -> bool:
    """The source said that nothing had changed: that tells nothing of its records."""
    return bool(run.profile.get("not_modified"))


def measures(run: Run) -> dict[str, float]:
    read = run.records_processed
    found: dict[str, float] = {"records_processed": read}
    if read:
        found["failed_ratio"] = run.records_failed / read
    if read >= ENOUGH:
        found["milliseconds_per_record"] = (run.duration_ms or 0.0) / read
    ratios = profiles.null_ratios(run.profile)
    return found | {f"null_ratio:{name}": ratio for name, ratio in ratios.items()}


async def beginnings(session: AsyncSession, run_id: str) -> dict[str, str]:
    """Since when the run before shows what it shows."""
    query = select(RunEvent.details).where(RunEvent.run_id == run_id, RunEvent.kind == KIND)
    return {found["measure"]: found["since"] for found in await session.scalars(query)}


async def list_anomalies(
    session: AsyncSession, source: str | None, limit: int, offset: int
) -> tuple[list[AnomalyRead], int]:
    matching: Select[RunEvent, str] = (
        select(RunEvent, Run.source)
        .join(Run, Run.run_id == RunEvent.run_id)
        .where(RunEvent.kind == KIND)
    )
    if source is not None:
        matching = matching.where(Run.source == source)
    total = await session.scalar(matching.with_only_columns(func.count(RunEvent.id))) or 0
    page = await session.execute(matching.order_by(RunEvent.id.desc()).limit(limit).offset(offset))
    return [shown(event, name) for event, name in page], total


def shown(event: RunEvent, source: str) -> AnomalyRead:
    own = {name: getattr(event, name) for name in ("id", "run_id", "message", "created_at")}
    return AnomalyRead.model_validate(own | event.details | {"source": source})
