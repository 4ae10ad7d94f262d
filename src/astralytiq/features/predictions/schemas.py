"""What the prediction doors take in and give out."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from astralytiq.core.schemas import Answer, Body

from .schemas_outcomes import OutcomeRead

FORMS = ("records", "instances", "dataframe_split")


class Split(Body):
    """pandas' `DataFrame.to_dict("split")`."""

    columns: list[str]
    data: list[list[Any]]
    index: list[Any] | None = Field(None, description="accepted and not used")


class PredictRequest(Body):
    """Rows in one of three forms."""

    records: list[dict[str, Any]] | None = Field(None, description="an object for each row")
    instances: list[list[Any]] | None = Field(
        None, description="the features of each row in the order of the model's signature"
    )
    dataframe_split: Split | None = None

    @model_validator(mode="after")
    def has_one_form(self) -> Self:
        if sum(getattr(self, form) is not None for form in FORMS) != 1:
            raise ValueError(f"give exactly one of {', '.join(FORMS)}")
        return self


class PredictAnswer(Answer):
    predictions: list[Any]
    probabilities: list[list[float]] = Field(description="of each row, in the order of classes")
    classes: list[Any]
    model: str
    version: int
    latency_ms: float = Field(description="until the answer was computed; storing it comes after")
    prediction_id: str


class PredictionRead(Answer):
    prediction_id: str = Field(validation_alias="id")
    model: str
    version: int
    rows: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    latency_ms: float
    actor_id: int | None
    created_at: datetime
    outcomes: list[OutcomeRead] = Field([], description="what was true of its rows, where told")


class TracedModel(Answer):
    name: str
    version: int
    sha256: str


class TracedTraining(Answer):
    job_id: str
    mlflow_run_id: str | None
    seed: int
    params: dict[str, Any]
    algorithm: str
    code_version: str


class TracedDataset(Answer):
    id: int
    name: str
    version: int
    content_hash: str


class TracedRecord(Answer):
    """A row of the data set version, and where its payload stands."""

    record_id: int
    is_kept: bool = Field(description="false: it was erased since, and so was its payload")
    has_changed: bool = Field(False, description="it is another today than it was when frozen")
    run_id: str | None = Field(None, description="the run that wrote it as it was frozen")
    raw_position: int | None = Field(None, description="its place in the batch of payloads")
    raw: str | None = Field(None, description="the door of the payload it came from")


class TracedRun(Answer):
    run_id: str
    source: str
    kind: str
    status: str
    start_time: datetime
    end_time: datetime | None
    batches: int = Field(description="each is a raw payload that was stored")
    records_processed: int


class Trace(Answer):
    """The way back from an answer to what it was learnt from."""

    prediction: PredictionRead
    model: TracedModel
    training: TracedTraining
    dataset: TracedDataset
    origin: dict[str, Any] = Field(
        description='{kind: "records", source, run_ids}: each row\'s _record_id leads on to GET '
        '/data/{id}/raw; or {kind: "upload", filename, sha256}'
    )
    records: list[TracedRecord] = Field(
        description="the first rows of the data set version; empty if it came from a file"
    )
    runs: list[TracedRun] = Field(description="of ingestion, behind the records: the newest ones")
    run_count: int = Field(description="how many runs there were in all")
