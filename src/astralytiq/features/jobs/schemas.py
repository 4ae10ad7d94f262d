"""What the job doors give out."""

from datetime import datetime
from typing import Any

from pydantic import Field

from astralytiq.core.jobs import JobStatus
from astralytiq.core.schemas import Answer


class JobRead(Answer):
    job_id: str = Field(validation_alias="id")
    kind: str = Field(validation_alias="name")
    status: JobStatus
    progress: float = Field(description="0 to 1")
    phase: str | None
    message: str | None
    arguments: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    attempts: int = Field(validation_alias="attempt")
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobEventRead(Answer):
    id: int
    at: datetime = Field(validation_alias="created_at")
    attempt: int
    message: str


class JobDetail(JobRead):
    logs: list[JobEventRead] = Field(default_factory=list)
