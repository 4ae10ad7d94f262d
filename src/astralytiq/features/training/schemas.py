"""What the training doors take in and give out."""

from typing import Annotated, Any

from pydantic import Field

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body

MOST_FOLDS = 20
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TrainingRequest(Body):
    algorithm: str = Field(description="one of GET /api/v1/ml/", examples=["random_forest"])
    dataset_id: int | str = Field(description='"7@2", or 7 for its newest version')
    target: str | None = Field(None, description="the column to predict; clustering has none")
    features: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="default: all columns of numbers but the target and those named _…"
    )
    params: dict[str, Any] = Field(default_factory=dict)
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.25
    cv_folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = Field(
        None, description="cross-validate on the training rows in so many folds"
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 53)] = 0
    experiment: Line = "default"
    model_name: str = Field(description="a new version of it is registered")


class TrainingAsked(Answer):
    job_id: str
    status: JobStatus
    algorithm: str
    model_name: str
    dataset: str
    target: str | None
    features: list[str]
    message: str


class ReproductionAsked(Answer):
    """The job's result says `reproduced`, both hashes, and what differs from then."""

    job_id: str
    status: JobStatus
    model: str
    version: int


class ParameterRead(Answer):
    name: str
    default: Any
    description: str
    kinds: tuple[str, ...] = Field(description="JSON types it may have")
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]


class AlgorithmRead(Answer):
    name: str
    description: str
    cli_command: str
    status: str = Field(description="available, or what it needs to be")
    task: str = Field(description="classification, regression or clustering")
    parameters: tuple[ParameterRead, ...]


class Overview(Answer):
    available_algorithms: list[AlgorithmRead]
    message: str
    version: str
    features: list[str]
