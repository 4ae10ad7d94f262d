"""Tables of the ingestion room. Names that existing clients rely on: raw_data_*, etl_checkpoint."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, Entity, Versioned, new_id, utc_now


class SourceKind(StrEnum):
    api = "api"
    csv = "csv"


class RunStatus(StrEnum):
    in_progress = "in_progress"
    success = "success"
    failed = "failed"
    cancelled = "cancelled"


class Source(Versioned):
    __tablename__ = "sources"

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[SourceKind]
    enabled: Mapped[bool] = mapped_column(default=True)
    batch_size: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # Where and how to read: the fields of its kind, checked by schemas.py.
    config: Mapped[dict[str, Any]]


class Run(Base):
    __tablename__ = "etl_runs"
    # The last guard against two runs of a source at once.
    __table_args__ = (
        Index(
            "uq_etl_runs_in_progress",
            "source",
            unique=True,
            sqlite_where=text("status = 'in_progress'"),
            postgresql_where=text("status = 'in_progress'"),
        ),
    )

    run_id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    source: Mapped[str] = mapped_column(index=True)
    job_id: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[RunStatus] = mapped_column(default=RunStatus.in_progress)
    start_time: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    end_time: Mapped[datetime | None]
    batches: Mapped[int] = mapped_column(default=0)
    records_processed: Mapped[int] = mapped_column(default=0)
    records_inserted: Mapped[int] = mapped_column(default=0)
    records_updated: Mapped[int] = mapped_column(default=0)
    records_failed: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]

    @property
    def duration_ms(self) -> float | None:
        if self.end_time is None:
            return None
        return round((self.end_time - self.start_time).total_seconds() * 1000, 3)


class RawPayload(Entity):
    """One batch as it came, packed: a JSON array of payloads, zlib-compressed."""

    __abstract__ = True

    source: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str] = mapped_column(index=True)
    batch: Mapped[int]
    record_count: Mapped[int]
    payload: Mapped[bytes] = mapped_column(LargeBinary)


class RawCsv(RawPayload):
    __tablename__ = "raw_data_csv"


class RawApi(RawPayload):
    __tablename__ = "raw_data_api"


class DataRecord(Entity):
    """One normalised record, whatever source it came from."""

    __tablename__ = "data_records"
    __table_args__ = (
        UniqueConstraint("source", "source_id"),
        # One source's records in the order of their ids, a page at a time.
        Index("ix_data_records_source_id", "source", "id"),
    )

    source: Mapped[str]
    source_id: Mapped[str]
    title: Mapped[str | None]
    description: Mapped[str | None]
    content: Mapped[str | None]
    author: Mapped[str | None]
    published_at: Mapped[datetime | None]
    url: Mapped[str | None]
    category: Mapped[str | None]
    # Every unmapped field. `metadata` itself is a name that SQLAlchemy keeps.
    extra: Mapped[dict[str, Any]] = mapped_column("metadata")
    # The same real-world thing across sources, and what decides whether a record has changed.
    entity_id: Mapped[str] = mapped_column(index=True)
    content_hash: Mapped[str]
    run_id: Mapped[str] = mapped_column(index=True)
    # Where its payload stands: the row of the raw table of its kind, and the place in the batch.
    raw_id: Mapped[int] = mapped_column(BigId)
    raw_position: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class Checkpoint(Entity):
    """Where a source stands: committed together with the batch that got it there."""

    __tablename__ = "etl_checkpoint"

    source: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[str]
    batch: Mapped[int]
    position: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Reject(Entity):
    """A record that could not be normalised, with the reason and the payload."""

    __tablename__ = "etl_rejects"

    source: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str] = mapped_column(index=True)
    raw_id: Mapped[int] = mapped_column(BigId)
    raw_position: Mapped[int]
    reason: Mapped[str]
    payload: Mapped[dict[str, Any]]
