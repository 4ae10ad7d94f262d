"""What the model doors take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from astralytiq.core.schemas import Answer, Body
from astralytiq.features.projects.schemas import Description

from .models import Stage


class ModelRead(Answer):
    """A model as its production version is, or its newest while none is in production."""

    id: int
    name: str
    description: str | None = Field(description="what its owner says of it")
    type: str = Field(description="the algorithm")
    version: int = Field(description="the version that these figures are of")
    latest_version: int
    owner_id: int
    accuracy: float | None
    precision_score: float | None = Field(description="mean over classes (macro)")
    recall_score: float | None = Field(description="mean over classes (macro)")
    f1_score: float | None = Field(description="mean over classes (macro)")
    status: Stage
    dataset: str
    created_at: datetime
    updated_at: datetime
    deployment_date: datetime | None = Field(description="when this version went into production")
    requests_per_day: float | None = Field(
        description="predict requests since its deployment, by the days since (at least one); "
        "null when it is not in production"
    )
    avg_latency_ms: float | None = Field(
        description="mean over all predict requests of this version; null before the first"
    )


class ModelChange(Body):
    """Only what is sent is changed."""

    description: Description | None = None


class SignatureColumn(Answer):
    name: str
    type: str


class ModelVersionRead(Answer):
    model: str
    version: int
    algorithm: str
    task: str
    stage: Stage
    params: dict[str, Any]
    metrics: dict[str, float]
    evaluation: dict[str, Any] = Field(
        description="train_rows, test_rows, importances by feature; of classifiers "
        "confusion_matrix [truth][prediction] in the order of classes, and curves; of clusters "
        "inertia, silhouette and sizes; cross_validation and search where they were asked for"
    )
    features: list[SignatureColumn]
    target: str = Field(description="empty of clusters, which have none")
    classes: list[Any]
    dataset: str = Field(
        description="data set and version, as in 7@2; empty of versions that were not trained here"
    )
    seed: int | None = Field(description="null of versions that were not trained here")
    code_version: str
    sha256: str = Field(description="of the model file")
    size_bytes: int
    environment: dict[str, Any] | None = Field(
        description="what it was trained on: versions, system, kernels; null of old versions"
    )
    mlflow_run_id: str | None
    mlflow_version: str | None = Field(
        description="MLflow's number of a version that one of its clients registered"
    )
    job_id: str | None = Field(description="null of versions that were not trained here")
    created_at: datetime
    created_by: int | None
    deployed_at: datetime | None


class Gate(Body):
    """What a version must be to go into production: as good as the champion, or better."""

    metric: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="one of the version's metrics; of log_loss, rmse, mae and inertia less is "
        "better, of all others more",
        examples=["accuracy"],
    )
    min_gain: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="how much better than the version in production; 0: as good will do"
    )
    minimum: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None, description="whatever is in production; for metrics of which more is better"
    )
    maximum: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        None, description="the same for errors, of which less is better"
    )
    comparison: Annotated[str, Field(max_length=64, pattern=r"^[\w-]+$")] | None = Field(
        None, description="a job of …/compare: its figures, of the same rows, count instead"
    )
    allow_different_data: bool = Field(
        False, description="also compare figures that were not measured on the same rows"
    )


class StageChange(Body):
    stage: Stage
    gate: Gate | None = Field(None, description="for the stage production alone")

    @model_validator(mode="after")
    def guards_production(self) -> Self:
        if self.gate and self.stage is not Stage.production:
            raise ValueError("a gate stands before production alone: leave it out")
        return self


class GateRead(Gate, Answer):
    passed: bool
    value: float
    champion: int | None = Field(
        description="the version in production before; null: there was none"
    )
    champion_value: float | None
    gain: float | None = Field(description="how much better, whichever way better is")
    rows: int | None = Field(
        description="on which it was measured: of a few rows no gain says much; null: not known"
    )
    same_rows: bool | None = Field(
        description="whether both were measured on the same rows: else the gain says little"
    )
    differences: list[str]


class StageRead(ModelVersionRead):
    gate: GateRead | None = Field(None, description="what the gate found, if there was one")
