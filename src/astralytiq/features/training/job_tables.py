"""Tables that trainings leave: how candidates and folds did, and what features are worth."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.job_tables import Rows, job_table
from astralytiq.core.jobs import Job
from astralytiq.core.lineage import Kind, Node
from astralytiq.features.registry import service as registry

JOB = "training.run"
SCOPE = "models:read"


def run_of(job: Job) -> Node:
    return Node(Kind.training_run, job.id)


async def evaluation_of(session: AsyncSession, job: Job) -> dict[str, Any]:
    """Empty of a training that made no version."""
    version = await registry.version_of_job(session, job.id)
    return version.evaluation if version else {}


@job_table(
    JOB,
    "candidates",
    "a training with search leaves one row for each combination of parameters.",
    scope=SCOPE,
    columns=("candidate", "is_best"),
    origin_of=run_of,
)
async def candidates(session: AsyncSession, job: Job) -> Rows:
    search = (await evaluation_of(session, job)).get("search", {})
    for number, one in enumerate(search.get("candidates", ())):
        row = {"candidate": number + 1, "is_best": number == search["best"]}
        row |= {f"param.{name}": value for name, value in one["params"].items()}
        for metric, found in one["metrics"].items():
            row |= {f"{metric}.{name}": value for name, value in found.items()}
        yield row | ({"error": one["error"]} if "error" in one else {})


@job_table(
    JOB,
    "folds",
    "a training with cv_folds or search leaves the metrics of each fold.",
    scope=SCOPE,
    columns=("fold",),
    origin_of=run_of,
)
async def folds(session: AsyncSession, job: Job) -> Rows:
    validation = (await evaluation_of(session, job)).get("cross_validation", {})
    for number, scores in enumerate(validation.get("scores", ())):
        yield {"fold": number + 1, **scores}


@job_table(
    JOB,
    "importances",
    "algorithms that weigh features leave how much each counts.",
    scope=SCOPE,
    columns=("feature", "importance"),
    origin_of=run_of,
)
async def importances(session: AsyncSession, job: Job) -> Rows:
    found = (await evaluation_of(session, job)).get("importances", {})
    for feature, importance in found.items():
        yield {"feature": feature, "importance": importance}
