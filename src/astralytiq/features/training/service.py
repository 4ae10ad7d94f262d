"""Rules for training: what may be trained on what, and how a trained model is kept."""

from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq import __version__
from astralytiq.core import audit, jobs
from astralytiq.core.errors import Fault, Invalid
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.engines.models.candidates import MOST_CANDIDATES, combinations
from astralytiq.engines.models.catalogue import ALGORITHMS
from astralytiq.engines.models.contract import AVAILABLE, Algorithm, faults_of, status_of
from astralytiq.engines.tabular.columns import NUMERIC
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets import synthetic
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.registry import service as registry

from .schemas import AlgorithmRead, Overview, TrainingAsked, TrainingRequest

SEARCH_FOLDS = 5
LABELS = frozenset({"string", "int64", "bool", "float64"})
FEATURES = [
    "data sets from CSV uploads and from ingested records",
    "training as a background job with live progress, cross-validation and search",
    "runs tracked in MLflow",
    "model registry with stages",
    "prediction with input checks and a trace back to the records",
]


def overview() -> Overview:
    return Overview(
        available_algorithms=[
            AlgorithmRead.model_validate({**asdict(algorithm), "status": status_of(algorithm)})
            for algorithm in ALGORITHMS.values()
        ],
        message="POST /api/v1/ml/train trains one of these on a data set.",
        version=__version__,
        features=FEATURES,
    )


async def with_data(resources: Resources, actor: Actor, asked: TrainingRequest) -> TrainingRequest:
    """Names the version of what is to be made up, which takes too long for a transaction."""
    recipe = synthetic.named(asked.dataset_id)
    if recipe is None:
        return asked
    refuse_faulty(
        asked, recipe.types, asked.features or default_features(recipe.types, asked.target)
    )
    reference = await synthetic.ensured(resources, actor, recipe)
    return asked.model_copy(update={"dataset_id": reference})


async def start(session: AsyncSession, actor: Actor, asked: TrainingRequest) -> TrainingAsked:
    """Queue a training, after naming everything that is wrong with it at once."""
    version = await datasets.resolve(session, asked.dataset_id)
    types = {column["name"]: column["type"] for column in version.schema}
    features = asked.features or default_features(types, asked.target)
    refuse_faulty(asked, types, features)
    await registry.refuse_foreign(session, actor, asked.model_name)
    job = await enqueue(session, actor, asked, version.reference, features)
    return TrainingAsked(
        job_id=job.id,
        status=job.status,
        algorithm=asked.algorithm,
        model_name=asked.model_name,
        dataset=version.reference,
        target=asked.target,
        features=features,
        message=f"Queued: GET /api/v1/jobs/{job.id} shows how far it is.{warning(version)}",
    )


def warning(version: DatasetVersion) -> str:
    made_up = version.origin.get("kind") == "synthetic"
    return " The data are made up: the model makes no claim of safety." if made_up else ""


def default_features(types: dict[str, str], target: str | None) -> list[str]:
    return [
        name
        for name, type_ in types.items()
        if type_ in NUMERIC and name != target and not name.startswith("_")
    ]


def refuse_faulty(asked: TrainingRequest, types: dict[str, str], features: list[str]) -> None:
    if faults := all_faults(asked, types, features):
        raise Invalid("; ".join(fault.msg for fault in faults), faults=tuple(faults))


def all_faults(asked: TrainingRequest, types: dict[str, str], features: list[str]) -> list[Fault]:
    return [
        *algorithm_faults(asked),
        *target_faults(asked, types),
        *feature_faults(asked.target, types, features),
        *name_faults(asked.model_name),
    ]


def algorithm_faults(asked: TrainingRequest) -> list[Fault]:
    algorithm = ALGORITHMS.get(asked.algorithm)
    if algorithm is None:
        words = f"algorithm {asked.algorithm!r} is unknown; there are {sorted(ALGORITHMS)}"
        return [Fault(("body", "algorithm"), words)]
    if (status := status_of(algorithm)) != AVAILABLE:
        return [Fault(("body", "algorithm"), f"{algorithm.name} {status}")]
    faults = [
        Fault(("body", "params", name), f"params.{name}: {words}")
        for name, words in faults_of(algorithm, asked.params)
    ]
    for field in ("cv_folds", "search"):
        if getattr(asked, field) and algorithm.task == "clustering":
            words = f"clustering has no truth to cross-validate against: leave {field} out"
            faults.append(Fault(("body", field), words))
    return [*faults, *search_faults(algorithm, asked)]


def search_faults(algorithm: Algorithm, asked: TrainingRequest) -> list[Fault]:
    if asked.search is None:
        return []
    kind, choices = "random" if asked.search.random else "grid", asked.search.choices
    faults = []
    for name, values in choices.items():
        words = value_fault(algorithm, name, values)
        if name in asked.params:
            words = "is set in params too: name it once"
        if words:
            faults.append(Fault(("body", "search", kind, name), f"search.{kind}.{name}: {words}"))
    if kind == "grid" and (count := combinations(choices)) > MOST_CANDIDATES:
        words = f"{count} combinations are more than {MOST_CANDIDATES}: name fewer, or use random"
        faults.append(Fault(("body", "search", "grid"), words))
    return faults


def value_fault(algorithm: Algorithm, name: str, values: list[Any]) -> str:
    faults = [words for value in values for _, words in faults_of(algorithm, {name: value})]
    return faults[0] if faults else ""


def target_faults(asked: TrainingRequest, types: dict[str, str]) -> list[Fault]:
    algorithm = ALGORITHMS.get(asked.algorithm)
    words = target_fault(algorithm.task if algorithm else "", asked.target, types)
    return [Fault(("body", "target"), words)] if words else []


def target_fault(task: str, target: str | None, types: dict[str, str]) -> str:
    if task == "clustering":
        return "" if target is None else "clustering has no target: leave it out"
    if target is None:
        return f"target: name the column to predict; there are {sorted(types)}"
    if target not in types:
        return f"target {target!r} is no column; there are {sorted(types)}"
    kind = types[target]
    if task == "regression":
        return "" if kind in NUMERIC else f"target {target!r} is a {kind}, not a number"
    return "" if kind in LABELS else f"target {target!r} is a {kind}, not a label"


def feature_faults(target: str | None, types: dict[str, str], features: list[str]) -> list[Fault]:
    if not features:
        words = "there is no column of numbers beside the target; name features to train on"
        return [Fault(("body", "features"), words)]
    faults = []
    for place, name in enumerate(features):
        words = ""
        if name not in types:
            words = f"feature {name!r} is no column; there are {sorted(types)}"
        elif types[name] not in NUMERIC:
            words = f"feature {name!r} is a {types[name]}, not a number"
        elif name == target:
            words = f"feature {name!r} is the target"
        elif name in features[:place]:
            words = f"feature {name!r} is named twice"
        if words:
            faults.append(Fault(("body", "features", place), words))
    return faults


def name_faults(name: str) -> list[Fault]:
    if registry.fits(name):
        return []
    return [Fault(("body", "model_name"), f"model_name {name!r}: use {registry.NAME_RULE}")]


async def enqueue(
    session: AsyncSession, actor: Actor, asked: TrainingRequest, dataset: str, features: list[str]
) -> Job:
    """The version is named by number: a job must not train on what came after it was asked."""
    arguments: dict[str, Any] = asked.model_dump(
        exclude={"dataset_id", "features", "cv_folds", "search"}
    )
    arguments["cv_folds"] = asked.cv_folds or (SEARCH_FOLDS if asked.search else 0)
    arguments["candidates"] = asked.search.candidates(asked.seed) if asked.search else []
    job = await jobs.enqueue(
        session,
        "training.run",
        owner_id=actor.account_id,
        **arguments,
        dataset=dataset,
        features=features,
        **actor.for_job(),
    )
    assert job  # Only an idempotency key can keep a job out.
    resource = f"model/{asked.model_name}"
    audit.record(session, actor, "training.asked", resource, job_id=job.id, dataset=dataset)
    return job
