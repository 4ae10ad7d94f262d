"""What the doors for watching models take in and give out."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from astralytiq.core.schemas import Answer, Body, Id


class Verdict(StrEnum):
    """`too_few`: rows to say anything of; `unknown`: nothing is stored to compare them with."""

    ok = "ok"
    watch = "watch"
    drift = "drift"
    too_few = "too_few"
    unknown = "unknown"


class Limits(Answer):
    """From where on something is said; settings of the same names."""

    watch_psi: float
    drift_psi: float
    watch_quality_drop: float
    drift_quality_drop: float
    watch_least_rows: int


class HourOfTrafficRead(Answer):
    hour: datetime
    requests: int
    rows: int


class Traffic(Answer):
    requests: int = Field(description="that were answered; refused ones are not kept")
    rows: int
    requests_per_hour: float
    hourly: list[HourOfTrafficRead] = Field(description="hours in which there were requests")


class Latency(Answer):
    """Milliseconds until the answer was computed; percentiles are within 1 %."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class FeatureDrift(Answer):
    """One input beside the training data. `ks` is drawn between `ks_low` and `ks_high`."""

    feature: str
    verdict: Verdict
    psi: float | None = None
    ks: float | None = None
    ks_low: float | None = None
    ks_high: float | None = None
    ks_p: float | None = Field(None, description="how likely chance alone makes such a gap")
    rows: int = Field(description="that were compared")
    rows_before: int = Field(description="of the data set version")
    below: int = Field(0, description="rows under the least value of the training data")
    above: int = Field(0, description="rows over its greatest")
    unseen: int | None = Field(
        None, description="rows with a value that training never had; of columns of few values"
    )
    median_before: float | None = None
    median: float | None = None


class Inputs(Answer):
    verdict: Verdict
    against: str = Field(description="the data set version, as in 7@2; empty if it has none")
    rows: int
    features: list[FeatureDrift] = Field(description="the furthest first")


class Predicted(Answer):
    """Answers beside those that the version gave to held-out rows, or beside the target."""

    verdict: Verdict
    against: str
    psi: float | None = None
    ks: float | None = None
    rows: int
    rows_before: int
    counts: list[dict[str, Any]] = Field(
        description="of labels: {label, before, now}, the commonest 100"
    )
    median_before: float | None = None
    median: float | None = None


class Quality(Answer):
    verdict: Verdict
    outcomes: int
    coverage: float | None = Field(description="the share of rows whose outcome was told")
    metrics: dict[str, float] = Field(description="empty while there are too few outcomes")
    held_out: dict[str, float] = Field(description="the same of held-out rows, at training")
    held_out_rows: int
    confusion_matrix: list[list[int]] = Field(
        description="[truth][prediction] in the order of the version's classes; up to 50 classes"
    )


class WatchedVersion(Answer):
    version: int
    stage: str
    verdict: Verdict
    reasons: list[str]
    traffic: Traffic
    latency: Latency | None
    inputs: Inputs
    predictions: Predicted
    quality: Quality


class Monitoring(Answer):
    model: str
    since: datetime
    until: datetime
    verdict: Verdict = Field(description="of the version in production, else of the newest shown")
    limits: Limits
    not_counted_rows: int = Field(
        description="of all models: predicted, and not in these figures yet; a job counts them"
    )
    versions: list[WatchedVersion]
    left_out: list[int] = Field(description="versions with traffic that are not shown: name one")


# Shadows ----------------------------------------------------------------------------------------


class ShadowStatus(StrEnum):
    none = "none"
    running = "running"
    ended = "ended"
    promoted = "promoted"


class ShadowWanted(Body):
    version: Id
    share: float = Field(1.0, gt=0, le=1, description="of the requests")


class Judged(Answer):
    outcomes: int
    metrics: dict[str, float]


class Beside(Answer):
    """The challenger beside one version that was in production meanwhile."""

    champion: int
    requests: int = Field(description="that the challenger scored")
    rows: int
    failed: int = Field(description="requests that it could not score")
    dropped: int = Field(description="requests that it had no time for")
    agreement: float | None = Field(description="share of rows with the same label")
    disagreements: list[dict[str, Any]] = Field(
        description="{champion, challenger, rows}: the commonest 100 pairs of different labels"
    )
    mean_absolute_difference: float | None
    largest_difference: float | None
    champion_latency: Latency | None = Field(description="from the request's check to its answer")
    challenger_latency: Latency | None = Field(description="of the model alone")
    champion_quality: Judged | None = Field(description="of rows whose outcome was told")
    challenger_quality: Judged | None


class ShadowRead(Answer):
    """The shadow that runs, else the last one there was."""

    model: str
    status: ShadowStatus
    version: int | None = None
    share: float | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    against: list[Beside] = Field(default=[], description="the champion of today first")
