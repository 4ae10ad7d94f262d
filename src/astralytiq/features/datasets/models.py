"""Tables of the data-set room. A version never changes: training runs rely on it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Entity, Versioned


class DatasetStatus(StrEnum):
    building = "building"
    ready = "ready"
    failed = "failed"


class DatasetType(StrEnum):
    """What the first version was made of."""

    records = "records"
    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"
    xlsx = "xlsx"
    predictions = "predictions"
    job = "job"  # a table that a job left
    telemetry = "telemetry"
    synthetic = "synthetic"  # made up by a rule


LIVING = text("deleted_at IS NULL")


class Dataset(Versioned):
    __tablename__ = "datasets"
    __table_args__ = (
        Index(
            "uq_datasets_living_name",
            "owner_id",
            "name",
            unique=True,
            sqlite_where=LIVING,
            postgresql_where=LIVING,
        ),
    )

    name: Mapped[str]
    type: Mapped[DatasetType]
    description: Mapped[str | None]
    status: Mapped[DatasetStatus] = mapped_column(default=DatasetStatus.building)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    # Where new versions come from unless the caller says otherwise.
    source: Mapped[str | None]
    # schemas.FromQuery, as which a source alone counts too; or {job, table}
    query: Mapped[dict[str, Any] | None]
    job_id: Mapped[str | None]
    # The newest version's number (0: none yet) and its size.
    current: Mapped[int] = mapped_column(default=0)
    rows: Mapped[int | None] = mapped_column(BigInteger)
    columns: Mapped[int | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    # Of the newest version: 0 to 100, None while it is not measured, or if nothing can be.
    quality_score: Mapped[float | None] = mapped_column(Float)
    # What its owner demands of each version: schemas.RuleBody as JSON.
    rules: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    # A deleted set is hidden; models that were trained on it can still be traced back to it.
    deleted_at: Mapped[datetime | None]

    @property
    def size_mb(self) -> float | None:
        return None if self.size_bytes is None else round(self.size_bytes / 1e6, 3)


class DatasetVersion(Entity):
    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    rows: Mapped[int] = mapped_column(BigInteger)
    columns: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str]  # SHA-256 of the Parquet file, in hex
    schema: Mapped[list[Any]]  # [{name, type}]
    storage_key: Mapped[str]
    origin: Mapped[dict[str, Any]]  # {kind: records, query, upload, predictions or job, …}
    job_id: Mapped[str | None] = mapped_column(unique=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    @property
    def reference(self) -> str:
        """How a version is named everywhere: "7@2"."""
        return f"{self.dataset_id}@{self.number}"


class DatasetProfile(Entity):
    """What was found in a version: measured when it is stored, again when its rules change."""

    __tablename__ = "dataset_profiles"

    version_id: Mapped[int] = mapped_column(ForeignKey("dataset_versions.id"), unique=True)
    profile: Mapped[dict[str, Any]]  # engines.tabular.profile.TableProfile
    quality: Mapped[dict[str, Any]]  # engines.tabular.quality.Quality, and what became of the rules
    score: Mapped[float | None] = mapped_column(Float)
