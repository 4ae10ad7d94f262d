"""HTTP doors of the runs: at the root, where existing clients know them, and under /api/v1."""

from typing import Annotated

from fastapi import Header, Query

from astralytiq.core.idempotency import LONGEST_KEY
from astralytiq.core.paging import MOST
from astralytiq.core.security import Actor
from astralytiq.core.web import House, needs, room

from . import service
from .schemas import Logged, ModelMetrics, Runs

metrics = room("/metrics/model", "tracking")
runs = room("/mlflow/runs", "tracking")

Writer = Annotated[Actor, needs("metrics:write")]
Reader = Annotated[Actor, needs("runs:read")]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=LONGEST_KEY, pattern=r"^[ -~]+$"),
]


@metrics.post("")
async def log_metrics(house: House, actor: Writer, body: ModelMetrics, key: Key = None) -> Logged:
    """Log a run with these figures to MLflow."""
    return await service.log_metrics(house, actor, body, key)


@runs.get("")
async def list_runs(
    house: House, actor: Reader, max_results: Annotated[int, Query(ge=1, le=MOST)] = 100
) -> Runs:
    """The newest runs of all experiments, those of other MLflow clients included."""
    return await service.list_runs(house, max_results)
