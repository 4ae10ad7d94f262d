"""What MLflow is told of a training: its parameters, its data, and every figure it came to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from astralytiq.core.tracking import TrackedRun
from astralytiq.features.registry.service import Trained

from .plan import Plan, Source

Series = dict[str, dict[int, float]]


def tracked_run(
    plan: Plan, source: Source, trained: Trained, began: datetime, ended: datetime
) -> TrackedRun:
    found = trained.evaluation
    return TrackedRun(
        experiment=plan.experiment,
        run_name=plan.model_name,
        params={**trained.params, "seed": plan.seed, "test_size": plan.test_size,
                "target": plan.target or "", "features": plan.features},
        metrics={**trained.metrics, **of_folds(found.get("cross_validation", {}))},
        series={**by_fold(found.get("cross_validation", {})),
                **by_candidate(found.get("search", {}))},
        tags={"algorithm": plan.algorithm, "dataset": plan.dataset},
        dataset_name=source.dataset.name,
        dataset_digest=source.version.content_hash,
        dataset_source=f"astralytiq:datasets/{plan.dataset}",
        started_at=began,
        ended_at=ended,
    )  # fmt: skip


def of_folds(found: Mapping[str, Any]) -> dict[str, float]:
    """Mean and standard deviation over the folds, as in cv_accuracy_mean."""
    return {
        f"cv_{name}_{kind}": value
        for name, both in found.get("metrics", {}).items()
        for kind, value in both.items()
    }


def by_fold(found: Mapping[str, Any]) -> Series:
    series: Series = {}
    for fold, scores in enumerate(found.get("scores", ()), start=1):
        for name, value in scores.items():
            series.setdefault(f"cv_{name}", {})[fold] = value
    return series


def by_candidate(search: Mapping[str, Any]) -> Series:
    """What each candidate of a search came to; one that cannot be trained leaves its step out."""
    series: Series = {}
    for number, candidate in enumerate(search.get("candidates", ()), start=1):
        for name, both in candidate["metrics"].items():
            for kind, value in both.items():
                series.setdefault(f"search_{name}_{kind}", {})[number] = value
    return series
