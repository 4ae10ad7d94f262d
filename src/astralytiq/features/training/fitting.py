"""The computing part of a training: from a table to a model file and its metrics.

It blocks for as long as the training takes, and imports NumPy: jobs.py runs it in a thread.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astralytiq.core.errors import Invalid
from astralytiq.core.executor import Work
from astralytiq.core.storage import Stored
from astralytiq.engines.models import environment
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from astralytiq.engines.models.contract import (
    Adapter,
    BadTraining,
    Evaluation,
    MissingExtra,
    completed,
)
from astralytiq.engines.models.splitting import Rows, split
from astralytiq.engines.tabular.histograms import distribution_of
from astralytiq.features.registry.service import Trained

from .plan import Plan, Source
from .selecting import Meter, Selection, fits_of

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 1_000  # More are no classes but a measure or a name; each costs a column of rows.


@dataclass(frozen=True)
class Fitted:
    """A model, and the numbers of the rows that it was trained on and will be tested with."""

    plan: Plan  # with the params that a search has chosen
    adapter: Adapter
    model: Any
    features: NDArray[np.float64]
    target: NDArray[Any]
    rows: Rows
    tests: Rows
    more: dict[str, Any]  # what was found on the way to it

    def evaluation(self) -> Evaluation:
        """On rows that the model has not seen; clusters have none, and are judged on their own."""
        return self.adapter.evaluate(
            self.model, self.features[self.judged], self.target[self.judged]
        )

    @property
    def judged(self) -> Rows:
        return self.tests if len(self.tests) else self.rows


def fitted(work: Work, plan: Plan, table: "pa.Table") -> Fitted:
    """The same plan, table and code give the same model, byte for byte."""
    refuse_gaps(table)
    adapter = installed(plan.algorithm)
    features, target = matrix_of(table, plan.features), target_of(table, plan, adapter)

    meter = Meter(work, adapter.algorithm.unit, fits_of(plan))
    try:
        rows, tests = split(adapter.algorithm.task, target, plan.test_size, plan.seed)
        known = features[rows], target[rows]
        plan, more = Selection(plan, meter, adapter, *known).chosen()
        model = adapter.train(*known, plan.params, plan.seed, meter.fit("training"))
    except BadTraining as error:
        raise Invalid(str(error)) from None
    return Fitted(plan, adapter, model, features, target, rows, tests, more)


def installed(algorithm: str) -> Adapter:
    """A worker may lack what the API has."""
    try:
        return adapter_of(algorithm)
    except MissingExtra as error:
        raise Invalid(str(error)) from None


def train(work: Work, plan: Plan, source: Source, table: "pa.Table") -> Trained:
    """Blocks for as long as the training takes: runs in a thread."""
    found = fitted(work, plan, table)
    work.report(0.87, "evaluating", f"{len(found.tests)} rows")
    judged = found.evaluation()
    more = {
        **judged.more,
        **found.more,
        "train_rows": len(found.rows),
        "test_rows": len(found.tests),
        "test_size": plan.test_size,
        "importances": named(plan.features, found.adapter.importances(found.model)),
        **spread_of_answers(found),
    }
    # The fence in the name: a worker that was only slow cannot overwrite its successor's file.
    key = f"models/{plan.model_name}/{work.claim.id}-{work.claim.fence}.model"
    stored = work.resources.storage.put(key, found.adapter.save(found.model))
    return described(found.plan, source, stored, judged, more, work.claim.id)


def spread_of_answers(found: Fitted) -> dict[str, Any]:
    """How a regression's answers to held-out rows lie: what later answers are watched beside.

    Of classifiers the confusion matrix says it.
    """
    if found.adapter.algorithm.task != "regression":
        return {}
    answers = found.adapter.predict(found.model, found.features[found.judged]).labels
    return {"predicted": asdict(distribution_of(np.asarray(answers, dtype=np.float64)))}


def named(features: list[str], importances: list[float]) -> dict[str, float]:
    return dict(zip(features, importances, strict=True)) if importances else {}


def trained_again(work: Work, plan: Plan, table: "pa.Table") -> bytes:
    """The file that this training would store. Blocks."""
    found = fitted(work, plan, table)
    return found.adapter.save(found.model)


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
        target=plan.target or "",
        classes=found.classes,
        dataset_version_id=source.version.id,
        dataset=plan.dataset,
        seed=plan.seed,
        storage_key=stored.key,
        sha256=stored.sha256,
        size_bytes=stored.size,
        environment=environment.here(),
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


def target_of(table: "pa.Table", plan: Plan, adapter: Adapter) -> NDArray[Any]:
    task = adapter.algorithm.task
    if task == "clustering" or plan.target is None:
        return np.zeros(table.num_rows)
    if task == "regression":
        return matrix_of(table, [plan.target])[:, 0]
    return labels_of(table, plan.target)


def labels_of(table: "pa.Table", name: str) -> NDArray[Any]:
    column: Any = table[name]
    labels: NDArray[Any] = np.array(column.to_pylist())
    if (distinct := len(np.unique(labels))) > MOST_CLASSES:
        raise Invalid(
            f"The target {name!r} has {distinct} different values, more than {MOST_CLASSES}: a "
            "classifier needs a target of few classes."
        )
    return labels
