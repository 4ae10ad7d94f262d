"""What the data-set doors take in and give out."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer, Body, Moment

from .models import DatasetStatus, DatasetType

ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores none
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]


class FileFormat(StrEnum):
    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


class FromRecords(Body):
    source: Name = Field(description="a source's name")


class FromQuery(Body):
    """Records that all of these fit: the filters of /data. With none of them, all records."""

    source: Name | None = None
    category: Name | None = None
    entity_id: Name | None = None
    published_after: Moment | None = Field(None, description="at this time or later")
    published_before: Moment | None = Field(None, description="before this time")
    updated_since: Moment | None = Field(None, description="stored or changed then or later")
    q: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = Field(
        None, description="beginnings of words that must all be there; the newest may lag behind"
    )


class FromJob(Body):
    """A table that a finished job left: of a training the candidates of its search, the folds of
    its cross-validation, or the importances; of a run of ingestion its rejects."""

    job_id: Annotated[str, Field(min_length=1, max_length=64, pattern=ONE_LINE)]
    table: Name | None = Field(
        None, description="candidates, folds, importances, rejects; needed if the job left several"
    )


class FromTelemetry(Body):
    """Events of devices that all of these fit. With none of them, all events."""

    device: Name | None = Field(None, description="as it calls itself")
    since: Moment | None = Field(None, description="at this time or later")
    until: Moment | None = Field(None, description="before this time")


class FromSomewhere(Body):
    from_records: FromRecords | None = None
    from_query: FromQuery | None = None
    from_job: FromJob | None = None
    from_telemetry: FromTelemetry | None = None

    @property
    def given(self) -> int:
        ways = (self.from_records, self.from_query, self.from_job, self.from_telemetry)
        return sum(one is not None for one in ways)

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        if self.given > 1:
            raise ValueError("Give one of from_records, from_query, from_job and from_telemetry.")
        return self


class DatasetCreate(FromSomewhere):
    name: Name
    description: Annotated[str | None, Field(max_length=2000, pattern=NO_NUL)] = None

    @model_validator(mode="after")
    def at_least_one(self) -> Self:
        if not self.given:
            raise ValueError(
                "Give from_records: {source}, from_query, from_job: {job_id}, or from_telemetry; "
                "or upload a file."
            )
        return self


class VersionCreate(FromSomewhere):
    """Without any, what the set was made from, as it is now."""


class DatasetRead(Answer):
    id: int
    name: str
    type: DatasetType
    description: str | None
    status: DatasetStatus
    size_mb: float | None = Field(description="of the newest version's Parquet file")
    rows: int | None
    columns: int | None
    quality_score: float | None = Field(
        None, description="0 to 100, of the newest version; null: it is not measured yet"
    )
    project_id: int | None = None
    owner_id: int
    version: int = Field(validation_alias="current", description="newest version; 0: none yet")
    job_id: str | None = Field(description="the job that freezes, or froze, the newest version")
    created_at: datetime
    updated_at: datetime


class ColumnRead(Answer):
    name: str
    type: str = Field(description="int64, float64, bool, string, date or timestamp")


class DatasetVersionRead(Answer):
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


class UploadedDataRead(Answer):
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


# Profile and quality ----------------------------------------------------------------------------

Bound = Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=64)]
ColumnName = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
Allowed = bool | int | Bound | Annotated[str, Field(max_length=1000, pattern=NO_NUL)]


class RuleBody(Body):
    """What every version must hold. No value passes all of them but `not_null`."""

    kind: Literal["not_null", "unique", "range", "regex", "in", "foreign"]
    column: ColumnName
    columns: Annotated[list[ColumnName], Field(max_length=50)] = Field(
        [], description="unique: further columns of the key"
    )
    low: Bound | None = Field(None, description="range: a number, or a time in ISO 8601")
    high: Bound | None = None
    pattern: Annotated[str | None, Field(max_length=1000, pattern=NO_NUL)] = Field(
        None, description="regex (RE2): the whole text must match"
    )
    values: Annotated[list[Allowed], Field(max_length=10_000)] = Field(
        [], description="in: all that may be"
    )
    dataset: Annotated[str | None, Field(max_length=40, pattern=r"^\d{1,18}(@\d{1,9})?$")] = Field(
        None, description="foreign: '7@2', or '7' for its newest version"
    )
    key: ColumnName | None = Field(None, description="foreign: the column there")


class RulesBody(Body):
    rules: Annotated[list[RuleBody], Field(max_length=200)]


class RulesRead(Answer):
    dataset_id: int
    rules: list[RuleBody]
    job_id: str | None = Field(None, description="the job that measures the newest version by them")


class SchemaRead(Answer):
    dataset_id: int
    version: int
    reference: str
    content_hash: str
    rows: int
    columns: list[ColumnRead]


class ProfileRead(Answer):
    dataset_id: int
    version: int
    rows: int
    repeated_rows: int | None = Field(description="equal to an earlier row in every column")
    estimated: bool = Field(description="every k-th row was looked at")
    measured_at: datetime
    columns: list[dict[str, Any]] = Field(
        description="name, type, kind, nulls, distinct, min, max, mean, std, quantiles, histogram, "
        "top, texts …; what makes no sense for a kind is null"
    )


class QualityRead(Answer):
    dataset_id: int
    version: int
    score: float | None = Field(description="0 to 100: the mean of the parts that have one")
    as_of: str
    rows: int
    measured_at: datetime
    parts: list[dict[str, Any]] = Field(
        description="name, score, weight, checked, failed, note, and faults with the rows behind it"
    )
    rules: list[dict[str, Any]] = Field(
        description="each rule, whether it passed, and the rows that do not; or why it could not "
        "be applied"
    )


class VersionComparison(Answer):
    before: str
    after: str
    rows_before: int
    rows_after: int
    verdict: str = Field(description="none, moderate or major: the worst of its columns")
    columns: list[dict[str, Any]] = Field(
        description="column, kind, verdict, types before and after, psi, ks with its bounds, shares"
    )
