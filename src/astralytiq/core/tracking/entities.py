"""What a run is for us, and how MLflow's entities are made of it and read back."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag

OURS = "astralytiq."
JOB_TAG = f"{OURS}job_id"
FAILURE_TAG = f"{OURS}failure"
SKIPPED_TAG = f"{OURS}skipped_metrics"
VERSION_TAG = f"{OURS}version"

LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG, LONGEST_DIGEST = 250, 6000, 5000, 36


@dataclass(frozen=True)
class TrackedRun:
    """Everything known of one training that has ended."""

    experiment: str
    run_name: str
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # by step, from 1
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset_name: str = ""
    dataset_digest: str = ""
    dataset_source: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class RunSummary(TypedDict):
    """One line of `GET /mlflow/runs`."""

    run_id: str
    run_name: str
    experiment: str
    status: str
    start_time: datetime | None
    end_time: datetime | None
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


def metrics_of(run: TrackedRun, at: int) -> "list[Metric]":
    """Only finite ones: databases have no NaN, and MLflow would show 0 or 1.8e308 instead."""
    from mlflow.entities import Metric  # noqa: PLC0415  # 3 s

    figures = [(key, 0, value) for key, value in run.metrics.items()]
    for key, values in run.series.items():
        figures += [(key, step, value) for step, value in values.items()]
    return [
        Metric(key_of(key), float(value), at, step)
        for key, step, value in figures
        if math.isfinite(value)
    ]


def params_of(run: TrackedRun) -> "list[Param]":
    from mlflow.entities import Param  # noqa: PLC0415  # 3 s

    return [Param(key_of(key), cut(str(value))) for key, value in run.params.items()]


def tags_of(run: TrackedRun, failure: str | None) -> "list[RunTag]":
    from mlflow.entities import RunTag  # noqa: PLC0415  # 3 s

    tags = {key_of(key): value for key, value in run.tags.items()}
    if skipped := skipped_of(run):
        tags[SKIPPED_TAG] = ", ".join(skipped)
    if failure is not None:
        tags[FAILURE_TAG] = failure
    return [RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()]


def skipped_of(run: TrackedRun) -> list[str]:
    known = {key: [value] for key, value in run.metrics.items()}
    known |= {key: list(values.values()) for key, values in run.series.items()}
    return sorted(key for key, values in known.items() if not all(map(math.isfinite, values)))


def inputs_of(run: TrackedRun) -> "list[DatasetInput]":
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415  # 3 s

    if not run.dataset_name:
        return []
    source = json.dumps({"uri": run.dataset_source})
    digest = run.dataset_digest[:LONGEST_DIGEST]  # MLflow's column; the whole one is a tag.
    tags = [
        InputTag("mlflow.data.context", "training"),
        InputTag(f"{OURS}digest", run.dataset_digest),
    ]
    return [DatasetInput(Dataset(run.dataset_name, digest, "astralytiq", source), tags)]


def summary(run: "Run", experiments: Mapping[str, str]) -> RunSummary:
    return RunSummary(
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        experiment=experiments.get(run.info.experiment_id, ""),
        status=run.info.status,
        start_time=moment(run.info.start_time),
        end_time=moment(run.info.end_time),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=dict(run.data.tags),
    )


def key_of(name: str) -> str:
    """MLflow takes letters, digits and `/_-.: `; anything else keeps its code (`>` is `_x3E_`)."""
    return re.sub(r"[^/\w.\- :]", lambda odd: f"_x{ord(odd[0]):X}_", name)[:LONGEST_KEY]


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_PARAM else f"{text[: LONGEST_PARAM - 1]}…"


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
