"""What the doors of the runs take in and give out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from astralytiq.core.schemas import Answer, Body
from astralytiq.core.tracking import OURS

EXPERIMENT = "model-metrics"
MOST_PAIRS = 100

Share = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


def not_ours(name: str) -> str:
    if name.startswith((OURS, "mlflow.")):
        raise ValueError(f"names beginning with {OURS!r} or 'mlflow.' are kept for the programs")
    return name


Name = Annotated[Line, AfterValidator(not_ours)]
Text = Annotated[str, Field(max_length=5000)]


class ModelMetrics(Body):
    """Figures of a model that was trained or watched elsewhere."""

    accuracy: Share
    precision: Share
    recall: Share
    f1_score: Share | None = None
    experiment: Line = Field(EXPERIMENT, description="the MLflow experiment that the run goes to")
    run_name: Line | None = None
    model_name: Line | None = None
    params: Annotated[dict[Name, bool | int | float | Text], Field(max_length=MOST_PAIRS)] = Field(
        default_factory=dict
    )
    tags: Annotated[dict[Name, Text], Field(max_length=MOST_PAIRS)] = Field(default_factory=dict)


class Logged(Answer):
    status: Literal["logged"] = "logged"
    run_id: str
    timestamp: datetime


class RunRead(Answer):
    run_id: str
    run_name: str
    experiment: str
    status: str = Field(description="RUNNING, SCHEDULED, FINISHED, FAILED or KILLED")
    start_time: datetime | None
    end_time: datetime | None
    metrics: dict[str, float | None] = Field(
        description="the last value of each; null of one that is no finite number"
    )
    params: dict[str, str]
    tags: dict[str, str]


class Runs(Answer):
    runs: list[RunRead]
    count: int
    timestamp: datetime
