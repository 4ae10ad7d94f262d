"""Rules for watching a model: what came in, what was answered, and how it fits the truth.

All of it is read from counted hours and from what is stored with versions; predictions that are
not counted yet are added in memory, up to a bound.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Invalid
from astralytiq.core.resources import Resources
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import Model, ModelVersion, Stage

from . import baselines, counting, tallies
from .baselines import Known
from .counting import Hours, Page, Window
from .models import PredictionHour, QualityHour
from .schemas_watching import (
    HourOfTrafficRead,
    Inputs,
    Latency,
    Limits,
    Monitoring,
    Quality,
    Traffic,
    Verdict,
    WatchedVersion,
)
from .tallies import Tally

HOUR = timedelta(hours=1)
LONGEST = timedelta(days=31)
DEFAULT = timedelta(days=7)
UNITS = {"h": HOUR, "d": timedelta(days=1)}
MOST_VERSIONS = 10
MOST_CLASSES = 50
ROWS_ON_READ = 5_000
RANK = {name: place for place, name in enumerate(
    (Verdict.unknown, Verdict.too_few, Verdict.ok, Verdict.watch, Verdict.drift)
)}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What the caller wants to see."""

    window: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    version: int | None = None


@dataclass(frozen=True)
class Gathered:
    """All that is stored, as it is stored."""

    versions: Sequence[ModelVersion]
    known: Mapping[int, Known]
    hours: Hours
    truths: Hours
    page: Page


async def monitoring(resources: Resources, name: str, asked: Asked) -> Monitoring:
    window = window_of(asked)
    async with resources.database.reading() as session:
        await at_one_moment(session)
        model = await registry.get(session, name)
        page = await counting.page(session, ROWS_ON_READ)
        found, left_out = await versions_of(session, model, asked.version, window, page)
        gathered = await gather(session, found, window, page)
        waiting = await counting.waiting(session)
    limits = Limits.model_validate(resources.settings, from_attributes=True)
    watched = await asyncio.to_thread(described, gathered, window, limits)
    return Monitoring(
        model=name,
        since=window.since,
        until=window.until,
        verdict=verdict_of_model(watched),
        limits=limits,
        not_counted_rows=waiting - gathered.page.rows,
        versions=watched,
        left_out=left_out,
    )


async def at_one_moment(session: AsyncSession) -> None:
    """What is counted and what waits must be of one moment, or rows would be seen twice."""
    if not bulk.is_sqlite(session):  # There every read transaction is of one moment.
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


# What is asked for ------------------------------------------------------------------------------


def window_of(asked: Asked) -> Window:
    """Whole hours, the begun one among them."""
    if asked.window and (asked.since or asked.until):
        raise Invalid("Give either window, or since and until.")
    until = asked.until or utc_now()
    length = int(asked.window[:-1]) * UNITS[asked.window[-1]] if asked.window else DEFAULT
    try:
        since, end = (
            floored(asked.since or until - length),
            floored(until - timedelta(microseconds=1)) + HOUR,
        )
    except OverflowError:
        raise Invalid("Ask for a window between the years 2 and 9998.") from None
    if not timedelta() < end - since <= LONGEST + 2 * HOUR:
        raise Invalid(
            f"From {since.isoformat()} to {end.isoformat()} is no window: since comes before "
            f"until, and at most {LONGEST.days} days lie between."
        )
    return Window(since, end)


def floored(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


async def versions_of(
    session: AsyncSession, model: Model, number: int | None, window: Window, page: Page
) -> tuple[list[ModelVersion], list[int]]:
    """The one that is named; else the one in production and the newest that answered."""
    if number is not None:
        return [await registry.get_version(session, model, number)], []
    query: Select[ModelVersion] = select(ModelVersion).where(ModelVersion.model_id == model.id)
    busy = select(PredictionHour.model_version_id).where(
        PredictionHour.hour >= window.since, PredictionHour.hour < window.until
    )
    shown = ModelVersion.id.in_(busy) | ModelVersion.id.in_({row[0] for row in page.stored})
    shown |= (ModelVersion.stage == Stage.production) | (ModelVersion.number == model.latest)
    found = (await session.scalars(query.where(shown).order_by(ModelVersion.number.desc()))).all()
    ordered = sorted(found, key=lambda one: one.stage is not Stage.production)
    return ordered[:MOST_VERSIONS], [one.number for one in ordered[MOST_VERSIONS:]]


# What is stored ---------------------------------------------------------------------------------


async def gather(
    session: AsyncSession, versions: Sequence[ModelVersion], window: Window, page: Page
) -> Gathered:
    ids = [version.id for version in versions]
    return Gathered(
        versions=versions,
        known=await baselines.known_of(session, ids),
        hours=await counting.hours(session, PredictionHour, ids, window),
        truths=await counting.hours(session, QualityHour, ids, window),
        page=page,
    )


def described(gathered: Gathered, window: Window, limits: Limits) -> list[WatchedVersion]:
    """Blocks: call it from a thread."""
    waiting = counting.tallied(gathered.page)
    baselines_ = baselines.restored(gathered.known)
    found = []
    for version in gathered.versions:
        hours = merged(gathered.hours.get(version.id, ()), version.id, waiting, window)
        truths = tallies.total(msgspec.json.decode(text) for _, text in
                               gathered.truths.get(version.id, ()))  # fmt: skip
        seen = Seen(version, baselines_[version.id], hours, truths, window, limits)
        found.append(watched(seen))
    return found


def merged(
    stored: Sequence[tuple[datetime, str]], version_id: int,
    waiting: Mapping[counting.Key, Tally], window: Window,
) -> dict[datetime, Tally]:  # fmt: skip
    hours: dict[datetime, Tally] = {hour: msgspec.json.decode(text) for hour, text in stored}
    for (owner, hour), tally in waiting.items():
        if owner == version_id and window.since <= hour < window.until:
            hours[hour] = tallies.added(hours.get(hour, {}), tally)
    return dict(sorted(hours.items()))


# One version ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A version, with all that was counted of it."""

    version: ModelVersion
    baseline: Any  # cells.Baseline, which needs NumPy
    hours: Mapping[datetime, Tally]
    truths: Tally
    window: Window
    limits: Limits


def watched(seen: Seen) -> WatchedVersion:
    from . import drifting  # noqa: PLC0415 - NumPy: the API starts without it

    total = tallies.total(seen.hours.values())
    rows = total.get("rows", 0)
    latency = tallies.milliseconds(total.get("latency", {}))
    inputs = inputs_of(seen, total)
    predictions = drifting.predictions(seen.baseline, total, seen.limits)
    quality = quality_of(seen, rows)
    parts = {"inputs": inputs.verdict, "predictions": predictions.verdict,
             "quality": quality.verdict}  # fmt: skip
    return WatchedVersion(
        version=seen.version.number,
        stage=seen.version.stage,
        verdict=worst(parts.values()),
        reasons=reasons(inputs, predictions, quality),
        traffic=traffic_of(seen, total),
        latency=Latency(**latency) if latency else None,
        inputs=inputs,
        predictions=predictions,
        quality=quality,
    )


def worst(verdicts: Any) -> Verdict:
    return max(verdicts, key=RANK.__getitem__, default=Verdict.unknown)


def traffic_of(seen: Seen, total: Tally) -> Traffic:
    begun = min(utc_now(), seen.window.until) - seen.window.since
    hours = max(1.0, begun / HOUR)
    requests = total.get("requests", 0)
    return Traffic(
        requests=requests,
        rows=total.get("rows", 0),
        requests_per_hour=round(requests / hours, 3),
        hourly=[
            HourOfTrafficRead(hour=hour, requests=tally["requests"], rows=tally["rows"])
            for hour, tally in seen.hours.items()
        ],
    )


def inputs_of(seen: Seen, total: Tally) -> Inputs:
    from . import drifting  # noqa: PLC0415 - NumPy

    names = [feature["name"] for feature in seen.version.features]
    features = drifting.inputs(seen.baseline, total.get("features", {}), names, seen.limits)
    return Inputs(
        verdict=worst(one.verdict for one in features),
        against=seen.version.dataset or "",
        rows=total.get("rows", 0),
        features=features,
    )


def quality_of(seen: Seen, rows: int) -> Quality:
    from . import drifting  # noqa: PLC0415 - NumPy

    version, outcomes = seen.version, seen.truths.get("outcomes", 0)
    classes = version.classes or []
    enough = outcomes >= seen.limits.watch_least_rows
    found = tallies.metrics(seen.truths, classes) if enough else {}
    held_out = {name: value for name, value in (version.metrics or {}).items() if name in NAMES}
    test_rows = held_out_rows(version)
    verdict = drifting.quality(found, outcomes, held_out, test_rows, seen.limits)
    pairs = seen.truths.get("pairs")
    return Quality(
        verdict=Verdict.unknown if version.task == "clustering" else verdict,
        outcomes=outcomes,
        coverage=round(outcomes / rows, 6) if rows else None,
        metrics=found,
        held_out=held_out,
        held_out_rows=test_rows,
        confusion_matrix=tallies.confusion(pairs, classes)
        if pairs and len(classes) <= MOST_CLASSES
        else [],
    )


NAMES = ("accuracy", "precision", "recall", "f1_score", "r2", "rmse", "mae")


def held_out_rows(version: ModelVersion) -> int:
    evaluation: dict[str, Any] = version.evaluation or {}
    confusion = evaluation.get("confusion_matrix") or []
    return sum(map(sum, confusion)) or int(evaluation.get("test_rows") or 0)


# In words ---------------------------------------------------------------------------------------


def reasons(inputs: Inputs, predictions: Any, quality: Quality) -> list[str]:
    found = [
        f"{one.feature}: {one.verdict}, PSI {one.psi:.2f} over {one.rows} rows"
        for one in inputs.features
        if one.verdict in (Verdict.watch, Verdict.drift)
    ]
    if predictions.verdict in (Verdict.watch, Verdict.drift):
        found.append(
            f"predictions: {predictions.verdict}, PSI {predictions.psi:.2f} beside "
            f"{predictions.against}"
        )
    if quality.verdict in (Verdict.watch, Verdict.drift):
        name = "accuracy" if "accuracy" in quality.metrics else "rmse"
        found.append(
            f"quality: {quality.verdict}, {name} {quality.metrics[name]:.3g} of "
            f"{quality.outcomes} outcomes, {quality.held_out[name]:.3g} at training"
        )
    return found


def verdict_of_model(versions: Sequence[WatchedVersion]) -> Verdict:
    """The version in production stands first."""
    return versions[0].verdict if versions else Verdict.unknown
