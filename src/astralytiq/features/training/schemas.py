"""What the training doors take in and give out."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body, Id
from astralytiq.engines.models.candidates import (
    MOST_CANDIDATES,
    MOST_NAMES,
    MOST_VALUES,
    at_random,
    of_grid,
)

MOST_FOLDS = 20
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


Values = Annotated[list[Any], Field(min_length=1, max_length=MOST_VALUES)]
Choices = Annotated[dict[str, Values], Field(min_length=1, max_length=MOST_NAMES)]


class RandomSearch(BaseModel):
    """Values to draw from by parameter, and beside them how many combinations to draw."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Values]

    n_iter: Annotated[int, Field(ge=1, le=MOST_CANDIDATES)] = 10

    @model_validator(mode="after")
    def has_few_names(self) -> Self:
        if not 1 <= len(self.__pydantic_extra__) <= MOST_NAMES:
            raise ValueError(f"name 1 to {MOST_NAMES} parameters, each with a list of values")
        return self


class Search(Body):
    """Parameters to choose by cross-validation on the training rows."""

    grid: Choices | None = Field(
        None,
        description=f"values by parameter; all combinations are tried, at most {MOST_CANDIDATES}",
        examples=[{"max_depth": [3, 6, None]}],
    )
    random: RandomSearch | None = None

    @model_validator(mode="after")
    def is_of_one_kind(self) -> Self:
        if (self.grid is None) == (self.random is None):
            raise ValueError("give exactly one of grid and random")
        return self

    @property
    def choices(self) -> dict[str, list[Any]]:
        return self.random.__pydantic_extra__ if self.random else self.grid or {}

    def candidates(self, seed: int) -> list[dict[str, Any]]:
        if self.random:
            return at_random(self.choices, self.random.n_iter, seed)
        return of_grid(self.choices)


class TrainingRequest(Body):
    algorithm: str = Field(description="one of GET /api/v1/ml/", examples=["random_forest"])
    dataset_id: int | str = Field(
        description='"7@2", or 7 for its newest version; "synthetic:drowsiness" makes data up'
    )
    target: str | None = Field(None, description="the column to predict; clustering has none")
    features: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="default: all columns of numbers but the target and those named _…"
    )
    params: dict[str, Any] = Field(default_factory=dict)
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.25
    cv_folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = Field(
        None, description="cross-validate on the training rows in so many folds"
    )
    search: Search | None = Field(
        None, description="params to choose by cross-validation (cv_folds, 5 unless it is given)"
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


class ComparisonRequest(Body):
    other: Id | None = Field(None, description="a version; default: the one in production")


class ComparisonAsked(Answer):
    """The job's result says the `metrics` of both on `rows` that neither was trained on.

    `left_out` counts the rows that the other was trained on; `is_checked` is false if what it was
    trained on is not known.
    """

    job_id: str
    status: JobStatus
    model: str
    version: int
    other: int


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
