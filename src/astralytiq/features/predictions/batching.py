"""Rules for predictions of whole tables: what may be asked, and how the answer's columns are named.

Nothing here imports NumPy: the computing is in scoring.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs, lineage
from astralytiq.core.errors import Fault, Invalid
from astralytiq.core.jobs import Job
from astralytiq.core.lineage import Edge, Kind, Node
from astralytiq.core.security import Actor
from astralytiq.engines.tabular.columns import CONTROL, LONGEST_NAME, MOST_COLUMNS, NUMERIC, Column
from astralytiq.features.datasets import outputs
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import DatasetType, DatasetVersion
from astralytiq.features.registry.models import ModelVersion
from astralytiq.features.registry.serving import Served, serving_version

from .schemas_batches import BatchAsked, BatchRequest, Output

JOB = "predictions.batch"
LONGEST_DATASET_NAME = 200
TYPES = {bool: "bool", int: "int64", float: "float64"}


# The columns of the answer ------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """The columns of the new table: those that are kept, then the prediction and what backs it."""

    kept: Sequence[Column]
    made: Sequence[Column]  # the prediction, then a probability of each class
    renamed: dict[str, str]  # what the made ones would be called, and what they are

    @property
    def columns(self) -> list[Column]:
        return [*self.kept, *self.made]

    def without_probabilities(self) -> "Layout":
        made = self.made[:1]
        left = {name: new for name, new in self.renamed.items() if new == made[0].name}
        return Layout(self.kept, made, left)

    @property
    def kept_names(self) -> list[str]:
        return [column.name for column in self.kept]


def layout_of(version: ModelVersion, frozen: DatasetVersion, wanted: list[str] | None) -> Layout:
    types = types_of(frozen)
    kept = [Column(name, types[name]) for name in (types if wanted is None else wanted)]
    made: list[Column] = []
    renamed: dict[str, str] = {}
    taken = {column.name for column in kept}
    for name, type_ in answers_of(version):
        free = free_name(name, taken)
        taken.add(free)
        made.append(Column(free, type_))
        if free != name:
            renamed[name] = free
    return Layout(kept, made, renamed)


def answers_of(version: ModelVersion) -> list[tuple[str, str]]:
    if version.task != "classification":
        return [("prediction", "int64" if version.task == "clustering" else "float64")]
    type_ = TYPES.get(type(version.classes[0]), "string")
    shares = [(f"probability_{label}", "float64") for label in version.classes]
    return [("prediction", type_), *shares]


def free_name(wanted: str, taken: set[str]) -> str:
    """A name that a column may have and none has yet: "prediction", then "prediction_2"."""
    bare = CONTROL.sub("_", wanted).strip()[: LONGEST_NAME - 10]
    name, number = bare, 1
    while name in taken:
        number += 1
        name = f"{bare}_{number}"
    return name


def types_of(frozen: DatasetVersion) -> dict[str, str]:
    return {column["name"]: column["type"] for column in frozen.schema}


# Asking -------------------------------------------------------------------------------------------


async def ask(session: AsyncSession, actor: Actor, name: str, body: BatchRequest) -> BatchAsked:
    """Queue the work, after naming everything that is wrong with it at once.

    Both versions are named by number: the job must not take what came after it was asked for.
    """
    version = await serving_version(session, name, body.version)
    frozen = await datasets.resolve(session, body.dataset_id)
    if faults := all_faults(version, frozen, body):
        raise Invalid("; ".join(fault.msg for fault in faults[:5]), faults=tuple(faults))
    layout = layout_of(version, frozen, body.columns)
    refuse_too_wide(layout)
    source = await datasets.get(session, frozen.dataset_id)
    wanted = body.name or f"{source.name} by {name}"[:LONGEST_DATASET_NAME]
    output = await outputs.reserve(session, actor, wanted, DatasetType.predictions)
    job = await enqueue(session, actor, name, version, frozen, output.id, body.columns)
    output.job_id = job.id
    await session.flush()
    return BatchAsked(
        job_id=job.id,
        status=job.status,
        model=name,
        version=version.number,
        dataset=frozen.reference,
        rows=frozen.rows,
        output=Output(dataset_id=output.id, name=output.name),
        prediction_columns=[column.name for column in layout.made],
        renamed=layout.renamed,
        message=f"Queued: GET /api/v1/jobs/{job.id} shows how far it is.",
    )


async def enqueue(
    session: AsyncSession,
    actor: Actor,
    name: str,
    version: ModelVersion,
    frozen: DatasetVersion,
    output_id: int,
    columns: list[str] | None,
) -> Job:
    job = await jobs.enqueue(
        session,
        JOB,
        owner_id=actor.account_id,
        model=name,
        version=version.number,
        dataset=frozen.reference,
        output_id=output_id,
        columns=columns,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    assert job  # Only an idempotency key can keep a job out.
    audit.record(
        session,
        actor,
        "predictions.batch_asked",
        f"model/{name}/{version.number}",
        job_id=job.id,
        dataset=frozen.reference,
        output=output_id,
    )
    return job


def all_faults(version: ModelVersion, frozen: DatasetVersion, body: BatchRequest) -> list[Fault]:
    types = types_of(frozen)
    faults = [
        Fault(("body", "dataset_id", feature["name"]), words)
        for feature in version.features
        if (words := feature_fault(feature, frozen.reference, types.get(feature["name"])))
    ]
    return [*faults, *column_faults(body.columns or (), types)]


def feature_fault(feature: dict[str, str], reference: str, type_: str | None) -> str:
    """As `inputs.number` has it: a truth is a number only where the model learnt from truths."""
    name = feature["name"]
    if type_ is None:
        return f"the data set {reference} has no column {name!r}, which the model takes"
    if type_ not in NUMERIC or (type_ == "bool" and feature["type"] != "bool"):
        return f"the column {name!r} of {reference} is a {type_}; the model takes {feature['type']}"
    return ""


def column_faults(wanted: Sequence[str], types: Iterable[str]) -> list[Fault]:
    known, faults = set(types), []
    for place, name in enumerate(wanted):
        if name not in known:
            words = f"columns: {name!r} is no column; there are {sorted(known)}"
        elif name in wanted[:place]:
            words = f"columns: {name!r} is named twice"
        else:
            continue
        faults.append(Fault(("body", "columns", place), words))
    return faults


def refuse_too_wide(layout: Layout) -> None:
    if (count := len(layout.columns)) > MOST_COLUMNS:
        words = (
            f"The new table would have {count:,} columns, more than {MOST_COLUMNS:,}: name fewer "
            "in columns."
        )
        raise Invalid(words, faults=(Fault(("body", "columns"), words),))


# What came of it ----------------------------------------------------------------------------------


def origin_of(
    job_id: str, served: Served, dataset: str, skipped: int, layout: Layout
) -> dict[str, Any]:
    return {
        "kind": "predictions",
        "job_id": job_id,
        "model": served.model,
        "version": served.number,
        "dataset": dataset,
        "skipped": skipped,
        "renamed": layout.renamed,
    }


def result_of(made: DatasetVersion) -> dict[str, Any]:
    """From the version itself: a job that runs again says the same."""
    origin = made.origin
    return {
        "dataset": made.reference,
        "dataset_id": made.dataset_id,
        "version": made.number,
        "rows": made.rows,
        "skipped": origin["skipped"],
        "renamed": origin["renamed"],
        "model": f"{origin['model']}@{origin['version']}",
        "input": origin["dataset"],
    }


async def connect(session: AsyncSession, made: DatasetVersion) -> None:
    """Model version and data set version into the batch; the new version's edge is its room's."""
    origin = made.origin
    batch = Node(Kind.batch_prediction, origin["job_id"])
    facets = {"rows": made.rows, "skipped": origin["skipped"]}
    origins = (
        Node(Kind.model_version, f"{origin['model']}@{origin['version']}"),
        Node(Kind.dataset_version, origin["dataset"]),
    )
    await lineage.connect(session, [Edge(one, batch, batch.id, facets) for one in origins])
