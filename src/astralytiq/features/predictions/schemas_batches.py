"""What the doors of batches take in and give out."""

from typing import Annotated

from pydantic import Field

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body, Id
from astralytiq.features.datasets.schemas import ColumnName, Name


class BatchRequest(Body):
    """A whole table to predict for."""

    dataset_id: int | str = Field(description='"7@2", or 7 for its newest version')
    version: Id | None = Field(None, description="of the model; default: the one in production")
    name: Name | None = Field(
        None,
        description="of the data set that the answers go to: a new one, or the next version of "
        'yours that an earlier batch made; default: "<data set> by <model>"',
    )
    columns: Annotated[list[ColumnName], Field(max_length=10_000)] | None = Field(
        None, description="of the input to keep beside the predictions; default: all"
    )


class Output(Answer):
    dataset_id: int
    name: str


class BatchAsked(Answer):
    """The job's result says `{dataset_id, version, rows, skipped}`.

    A row that lacks a feature's value is kept and has no prediction: `skipped` counts them.
    """

    job_id: str
    status: JobStatus
    model: str
    version: int
    dataset: str
    rows: int
    output: Output
    prediction_columns: list[str] = Field(
        description="the prediction, then of a classifier each class's probability; one from "
        "elsewhere may give labels alone, and then there is the prediction alone"
    )
    renamed: dict[str, str] = Field(
        description="those that would be called as another column is, and their names"
    )
    message: str
