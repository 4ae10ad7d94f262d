"""Background work of the training room: one model, from a data set version to the registry."""

import asyncio
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.errors import Invalid
from astralytiq.core.executor import Work
from astralytiq.core.jobs import job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import Stored
from astralytiq.core.tracking import TrackedRun, tracker
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import BadTraining, Evaluation, completed
from astralytiq.engines.models.splitting import stratified
from astralytiq.features.datasets import service as datasets
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.service import Trained

if TYPE_CHECKING:
    import pyarrow as pa

    from astralytiq.features.datasets.models import Dataset, DatasetVersion
    from astralytiq.features.registry.models import ModelVersion

MOST_CLASSES = 1_000  # More are no classes but a measure or a name; each costs a column of rows.


@dataclass(frozen=True)
class Plan:
    """What a training job was asked to do."""

    algorithm: str
    dataset: str
    target: str
    features: list[str]
    params: dict[str, Any]
    test_size: float
    seed: int
    experiment: str
    model_name: str


@dataclass(frozen=True)
class Source:
    """The data set version that a model is trained on."""

    dataset: "Dataset"
    version: "DatasetVersion"

    @property
    def types(self) -> dict[str, str]:
        return {column["name"]: column["type"] for column in self.version.schema}


@job("training.run")
async def run(work: Work, *, actor_id: int, actor_name: str, **asked: Any) -> dict[str, Any]:
    plan = Plan(**asked)
    actor = Actor(actor_id, actor_name, frozenset(), via="job")
    async with work.resources.database.reading() as session:
        known = await registry.version_of_job(session, work.claim.id)
        wanted = await datasets.resolve(session, plan.dataset)
        source = Source(*await datasets.origin_of(session, wanted.id))
    version = known or await made(work, actor, plan, source)
    return {
        "model": plan.model_name,
        "version": version.number,
        "metrics": version.metrics,
        "dataset": plan.dataset,
        "mlflow_run_id": version.mlflow_run_id,
    }


async def made(work: Work, actor: Actor, plan: Plan, source: Source) -> "ModelVersion":
    if work.checkpoint is None:
        await fit(work, plan, source)
    assert work.checkpoint is not None
    trained = Trained(**work.checkpoint["trained"])
    times = [datetime.fromisoformat(moment) for moment in work.checkpoint["times"]]
    run_id = await asyncio.to_thread(track, work.resources, plan, source, trained, times)

    async def register(session: AsyncSession) -> "ModelVersion":
        await registry.refuse_foreign(session, actor, plan.model_name)
        tracked = replace(trained, mlflow_run_id=run_id)
        return await registry.add_version(session, actor, plan.model_name, tracked)

    return await work.step(register, progress=0.99)


async def fit(work: Work, plan: Plan, source: Source) -> None:
    """Train, and keep the outcome as the job's checkpoint.

    MLflow may be away for a while: the trees need not be grown again for that.
    """
    began = utc_now()
    work.report(0.02, "reading", plan.dataset)
    names = [*plan.features, plan.target]
    table = await datasets.open_table(work.resources, source.version, names)
    trained = await asyncio.to_thread(train, work, plan, source, table)
    times = [began.isoformat(), utc_now().isoformat()]

    async def nothing_else(_: AsyncSession) -> None: ...

    kept = {"trained": asdict(trained), "times": times}
    await work.step(nothing_else, checkpoint=kept, progress=0.9)


def train(work: Work, plan: Plan, source: Source, table: "pa.Table") -> Trained:
    """Blocks for as long as the training takes: runs in a thread."""
    refuse_gaps(table)
    features, target = matrix_of(table, plan.features), labels_of(table, plan.target)
    adapter = adapter_of(plan.algorithm)

    def progress(done: int, total: int) -> None:
        work.report(0.05 + 0.8 * done / total, "training", f"{done} of {total} trees")

    try:
        rows, tests = stratified(target, plan.test_size, plan.seed)
        model = adapter.train(features[rows], target[rows], plan.params, plan.seed, progress)
    except BadTraining as error:
        raise Invalid(str(error)) from None
    work.report(0.87, "evaluating", f"{len(tests)} rows")
    found = adapter.evaluate(model, features[tests], target[tests])
    importances = dict(zip(plan.features, adapter.importances(model), strict=True))
    counts = {"train_rows": len(rows), "test_rows": len(tests), "test_size": plan.test_size}
    # The fence in the name: a worker that was only slow cannot overwrite its successor's file.
    key = f"models/{plan.model_name}/{work.claim.id}-{work.claim.fence}.model"
    stored = work.resources.storage.put(key, adapter.save(model))
    return described(
        plan, source, stored, found, {**counts, "importances": importances}, work.claim.id
    )


def described(
    plan: Plan,
    source: Source,
    stored: Stored,
    found: Evaluation,
    more: dict[str, Any],
    job_id: str,
) -> Trained:
    algorithm = ALGORITHMS[plan.algorithm]
    return Trained(
        algorithm=plan.algorithm,
        task=algorithm.task,
        params=completed(algorithm, plan.params),
        metrics=found.metrics,
        evaluation={**more, "confusion_matrix": found.confusion},
        features=[{"name": name, "type": source.types[name]} for name in plan.features],
        target=plan.target,
        classes=found.classes,
        dataset_version_id=source.version.id,
        dataset=plan.dataset,
        seed=plan.seed,
        storage_key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size,
        mlflow_run_id=None,
        job_id=job_id,
    )


def refuse_gaps(table: "pa.Table") -> None:
    """Rows without a value are never dropped in silence: the model would not be of these data."""
    gaps = {name: count for name in table.column_names if (count := gaps_in(table, name))}
    if gaps:
        counts = ", ".join(f"{name}: {count}" for name, count in gaps.items())
        raise Invalid(
            f"Of {table.num_rows} rows some have no finite value ({counts}): fill them at the "
            "source and freeze a new version, or train without these features."
        )


def gaps_in(table: "pa.Table", name: str) -> int:
    column: Any = table[name]
    missing = int(column.null_count)
    if str(column.type) == "double":
        values = column.drop_null().to_numpy()
        missing += int((~np.isfinite(values)).sum())
    return missing


def matrix_of(table: "pa.Table", names: list[str]) -> NDArray[np.float64]:
    """(rows, features)"""
    columns: list[Any] = [table[name] for name in names]
    return np.column_stack([column.to_numpy().astype(np.float64) for column in columns])


def labels_of(table: "pa.Table", name: str) -> NDArray[Any]:
    column: Any = table[name]
    labels: NDArray[Any] = np.array(column.to_pylist())
    if (distinct := len(np.unique(labels))) > MOST_CLASSES:
        raise Invalid(
            f"The target {name!r} has {distinct} different values, more than {MOST_CLASSES}: a "
            "classifier needs a target of few classes."
        )
    return labels


def track(
    resources: Resources,
    plan: Plan,
    source: Source,
    trained: Trained,
    times: list[datetime],
) -> str:
    """Write the run to MLflow; a job that runs again finds its run. Blocks."""
    began, ended = times
    content = resources.storage.get(trained.storage_key)
    return tracker(resources.settings).log(
        TrackedRun(
            experiment=plan.experiment,
            run_name=plan.model_name,
            params={**trained.params, "seed": plan.seed, "test_size": plan.test_size,
                    "target": plan.target, "features": plan.features},
            metrics=trained.metrics,
            tags={"algorithm": plan.algorithm, "dataset": plan.dataset},
            dataset_name=source.dataset.name,
            dataset_digest=source.version.content_hash,
            dataset_source=f"astralytiq:datasets/{plan.dataset}",
            started_at=began,
            ended_at=ended,
        ),
        job_id=trained.job_id,
        artifacts={"model/model.bin": content},
    )  # fmt: skip
