"""The rows of background work, and how everybody hears of their changes."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Float, Index, Integer
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core import broadcast
from astralytiq.core.db import Base, Entity, new_id, utc_now

MAX_ATTEMPTS = 3


class JobStatus(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


FINISHED = (JobStatus.succeeded, JobStatus.failed, JobStatus.cancelled)


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_queue", "status", "priority", "run_at"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(index=True)
    arguments: Mapped[dict[str, Any]]
    owner_id: Mapped[int | None] = mapped_column(index=True)
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    status: Mapped[JobStatus] = mapped_column(default=JobStatus.queued)
    priority: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=MAX_ATTEMPTS)
    run_at: Mapped[datetime] = mapped_column(default=utc_now)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    phase: Mapped[str | None]
    message: Mapped[str | None]
    checkpoint: Mapped[dict[str, Any] | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now, index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # The span in which somebody asked for it, if that is traced: what its worker does is a part.
    traceparent: Mapped[str | None]


class JobEvent(Entity):
    """One line of a job's history: claimed, phases, retries, the end."""

    __tablename__ = "job_events"

    job_id: Mapped[str] = mapped_column(index=True)
    attempt: Mapped[int] = mapped_column(Integer)
    message: Mapped[str]


def note(session: AsyncSession, job_id: str, attempt: int, message: str) -> None:
    session.add(JobEvent(job_id=job_id, attempt=attempt, message=message[:2000]))


class Announced(Protocol):
    """A job, or what is held or known of it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def owner_id(self) -> int | None: ...


def announce(session: AsyncSession, job: Announced, status: JobStatus) -> None:
    message = {"job_id": job.id, "kind": job.name, "status": status, "owner_id": job.owner_id}
    broadcast.publish(session, f"job/{job.id}", message)
