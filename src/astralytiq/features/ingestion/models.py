"""Tables of the ingestion room. Names that existing clients rely on: raw_data_*, etl_checkpoint."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, Entity, Versioned, new_id, utc_now

# Compared byte by byte, so that the words with one beginning stand together in an index.
ByteOrder = String().with_variant(String(collation="C"), "postgresql")


class SourceKind(StrEnum):
    api = "api"
    csv = "csv"
    rss = "rss"


class RunStatus(StrEnum):
    in_progress = "in_progress"
    success = "success"
    failed = "failed"
    cancelled = "cancelled"


class RunKind(StrEnum):
    """What a run reads: the source, or the raw payloads that earlier runs stored."""

    load = "load"
    replay = "replay"


class RejectStatus(StrEnum):
    open = "open"
    retried = "retried"
    discarded = "discarded"


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
    kind: Mapped[RunKind] = mapped_column(default=RunKind.load)
    # Who asked for it: "manual", "schedule", "retry".
    trigger: Mapped[str] = mapped_column(default="manual")
    full_refresh: Mapped[bool] = mapped_column(default=False)
    # It stored nothing: what it counted is what a run would have done.
    dry_run: Mapped[bool] = mapped_column(default=False)
    start_time: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    end_time: Mapped[datetime | None]
    batches: Mapped[int] = mapped_column(default=0)
    records_processed: Mapped[int] = mapped_column(default=0)
    records_inserted: Mapped[int] = mapped_column(default=0)
    records_updated: Mapped[int] = mapped_column(default=0)
    records_failed: Mapped[int] = mapped_column(default=0)
    # Stored already with the same content; and, in a full refresh, no longer at the source.
    records_unchanged: Mapped[int] = mapped_column(default=0)
    records_deleted: Mapped[int] = mapped_column(default=0)
    # Of each field what was seen: nulls, types, a sample of values. Runs are compared by it.
    profile: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]

    @property
    def duration_ms(self) -> float | None:
        if self.end_time is None:
            return None
        return round((self.end_time - self.start_time).total_seconds() * 1000, 3)


class RunEvent(Entity):
    """One thing that happened in a run: an attempt at a request, a wait, a drift, its end."""

    __tablename__ = "etl_run_events"

    run_id: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(index=True)
    message: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


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


class RawRss(RawPayload):
    __tablename__ = "raw_data_rss"


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
    # Hashes come in no order: an index of their own would cost a fifth of a load (indexing.py).
    entity_id: Mapped[str]
    content_hash: Mapped[str]
    run_id: Mapped[str]
    # Where its payload stands: the row of the raw table of its kind, and the place in the batch.
    raw_id: Mapped[int] = mapped_column(BigId)
    raw_position: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
    # When a full refresh found that the source no longer has it.
    deleted_at: Mapped[datetime | None]


class RecordVersion(Entity):
    """A record as it was before a run changed it: its fields, and where they came from."""

    __tablename__ = "record_versions"

    record_id: Mapped[int] = mapped_column(BigId, index=True)
    source: Mapped[str] = mapped_column(index=True)
    fields: Mapped[dict[str, Any]]
    content_hash: Mapped[str]
    run_id: Mapped[str]
    raw_id: Mapped[int] = mapped_column(BigId)
    raw_position: Mapped[int]
    # From when it was so, and until when.
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]


class RecordCount(Base):
    """How many records a source has, kept with each batch: counting millions takes too long."""

    __tablename__ = "record_counts"

    source: Mapped[str] = mapped_column(primary_key=True)
    records: Mapped[int] = mapped_column(BigInteger)


class RecordSegment(Base):
    """A segment of records that is indexed, if not all of it as it is now: see RecordNote."""

    __tablename__ = "record_segments"

    segment: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)


class RecordWord(Base):
    """A word, or another way to look records up, and which records of a segment have it."""

    __tablename__ = "record_words"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own declaration

    segment: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    word: Mapped[str] = mapped_column(ByteOrder, primary_key=True)
    places: Mapped[bytes] = mapped_column(LargeBinary)


class RecordNote(Base):
    """A segment whose records have changed since it was indexed, told by the change itself."""

    __tablename__ = "record_notes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    segment: Mapped[int] = mapped_column(BigId, index=True)


class Checkpoint(Entity):
    """Where a source stands: committed together with the batch that got it there."""

    __tablename__ = "etl_checkpoint"

    source: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[str]
    batch: Mapped[int]
    position: Mapped[dict[str, Any]]
    # What outlives a run: how far the cursor field was read, and the validators of addresses.
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Reject(Entity):
    """A record that could not be normalised, with the reason and the payload."""

    __tablename__ = "etl_rejects"
    __table_args__ = (
        # Those of one batch: a replay settles them with it.
        Index("ix_etl_rejects_raw", "source", "raw_id"),
        # Those that wait are counted every minute.
        Index(
            "ix_etl_rejects_open",
            "id",
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
    )

    source: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str] = mapped_column(index=True)
    raw_id: Mapped[int] = mapped_column(BigId)
    raw_position: Mapped[int]
    reason: Mapped[str]
    payload: Mapped[dict[str, Any]]
    status: Mapped[RejectStatus] = mapped_column(default=RejectStatus.open)
    settled_at: Mapped[datetime | None]


class SourceFields(Entity):
    """The fields that a source has shown so far, with their types: what drift is measured by."""

    __tablename__ = "source_fields"

    source: Mapped[str] = mapped_column(unique=True)
    fields: Mapped[dict[str, Any]]
    run_id: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Drift(Entity):
    """A field that came, went, or changed its type, as seen by a run."""

    __tablename__ = "etl_drift"

    source: Mapped[str] = mapped_column(index=True)
    run_id: Mapped[str] = mapped_column(index=True)
    field: Mapped[str]
    change: Mapped[str]  # added, removed, type_changed
    before: Mapped[str | None]
    after: Mapped[str | None]
    examples: Mapped[list[Any]]
    # The share of the records looked at that show it; of a removal, how sure that is.
    confidence: Mapped[float]
