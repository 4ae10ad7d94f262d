"""Rules for runs that are logged and listed over HTTP."""

import hashlib
import math

from astralytiq.core.db import utc_now
from astralytiq.core.errors import Invalid
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.tracking import OURS, RunSummary, TrackedRun, Tracker

from .desk import desk
from .schemas import Logged, MlflowRunRead, ModelMetrics, Runs

ACTOR_TAG = f"{OURS}actor"
REQUEST_TAG = f"{OURS}request"
FIGURES = ("accuracy", "precision", "recall", "f1_score")


async def log_metrics(
    resources: Resources, actor: Actor, asked: ModelMetrics, key: str | None
) -> Logged:
    """The run is in MLflow's store before the answer is sent: its id would mean nothing else.

    A request that comes again under the same Idempotency-Key finds the run of the first.
    """
    run = described(actor, asked)
    name = None if key is None else digest(actor.identity, key)

    def write(store: Tracker) -> str:
        return (name and logged_before(store, name, run)) or store.log(run, job_id=name)

    run_id = await desk(resources).write(write)
    return Logged(run_id=run_id, timestamp=utc_now())


def logged_before(store: Tracker, name: str, run: TrackedRun) -> str | None:
    found = store.tags_of_job(name)
    if found and found[1].get(REQUEST_TAG) != run.tags[REQUEST_TAG]:
        raise Invalid("This Idempotency-Key came with another body: use a new key for a new run.")
    return found[0] if found else None


def described(actor: Actor, asked: ModelMetrics) -> TrackedRun:
    figures = {name: getattr(asked, name) for name in FIGURES}
    named = {"model_name": asked.model_name} if asked.model_name else {}
    ours = {
        ACTOR_TAG: actor.identity,
        REQUEST_TAG: digest(asked.model_dump_json()),
    }
    return TrackedRun(
        experiment=asked.experiment,
        run_name=asked.run_name or asked.model_name or asked.experiment,
        params=asked.params,
        metrics={name: value for name, value in figures.items() if value is not None},
        tags={**asked.tags, **named, **ours},
    )


def digest(*words: str) -> str:
    return hashlib.sha256("\x00".join(words).encode()).hexdigest()


async def list_runs(resources: Resources, max_results: int) -> Runs:
    found = await desk(resources).read(lambda store: store.runs(max_results))
    return Runs(runs=[shown(run) for run in found], count=len(found), timestamp=utc_now())


def shown(run: RunSummary) -> MlflowRunRead:
    metrics = {
        name: value if math.isfinite(value) else None for name, value in run["metrics"].items()
    }
    return MlflowRunRead.model_validate({**run, "metrics": metrics})
