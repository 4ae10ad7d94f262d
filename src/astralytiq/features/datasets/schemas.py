"""What the data-set doors take in and give out."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body

from .models import DatasetStatus, DatasetType

ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores none
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]


class FromRecords(Body):
    source: Name = Field(description="a source's name")


class DatasetCreate(Body):
    name: Name
    description: Annotated[str | None, Field(max_length=2000, pattern=NO_NUL)] = None
    from_records: FromRecords


class VersionCreate(Body):
    from_records: FromRecords | None = Field(
        None, description="default: the source that the set was made from"
    )


class DatasetRead(Answer):
    id: int
    name: str
    type: DatasetType
    description: str | None
    status: DatasetStatus
    size_mb: float | None = Field(description="of the newest version's Parquet file")
    rows: int | None
    columns: int | None
    quality_score: float | None = Field(None, description="null: quality is not measured yet")
    project_id: int | None = None
    owner_id: int
    version: int = Field(validation_alias="current", description="newest version; 0: none yet")
    job_id: str | None = Field(description="the job that freezes, or froze, the newest version")
    created_at: datetime
    updated_at: datetime


class ColumnRead(Answer):
    name: str
    type: str = Field(description="int64, float64, bool, string, date or timestamp")


class VersionRead(Answer):
    id: int
    dataset_id: int
    version: int = Field(validation_alias="number")
    reference: str
    rows: int
    columns: int
    size_bytes: int
    content_hash: str = Field(description="SHA-256 of the Parquet file")
    columns_schema: list[ColumnRead] = Field(
        validation_alias="schema", serialization_alias="schema"
    )
    origin: dict[str, Any]
    created_at: datetime
    created_by: int | None


class VersionAsked(Answer):
    job_id: str
    status: JobStatus
    dataset_id: int


class Preview(Answer):
    dataset_id: int
    version: int
    columns: list[ColumnRead]
    rows: list[dict[str, Any]]
    total_rows: int


class DateRangeRead(Answer):
    column: str
    min: str
    max: str


class Uploaded(Answer):
    """The answer that existing clients of `/ml/upload-data` know."""

    filename: str
    shape: tuple[int, int]
    columns: list[str]
    dtypes: dict[str, str]
    preview: list[dict[str, Any]]
    dataset_id: int
    rows: int
    date_range: DateRangeRead | None
    message: str
