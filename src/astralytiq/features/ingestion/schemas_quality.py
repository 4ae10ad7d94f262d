"""What the doors to rejects, drift, replays and the history of records take in and give out."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from astralytiq.core.schemas import Answer, Body, Id

from .models import RejectStatus


class RejectsAsked(Body):
    """Which open rejects: those of all conditions given."""

    ids: Annotated[list[Id] | None, Field(min_length=1, max_length=1000)] = None
    source: str | None = None
    run_id: str | None = None

    @model_validator(mode="after")
    def names_some(self) -> Self:
        if self.ids is None and self.source is None and self.run_id is None:
            raise ValueError("say which: give 'ids', 'source' or 'run_id'")
        return self


class RejectRead(Answer):
    id: int
    source: str
    run_id: str
    reason: str
    payload: dict[str, Any]
    raw_position: int
    status: RejectStatus
    settled_at: datetime | None
    created_at: datetime


class RetryAccepted(Answer):
    status: Literal["accepted"] = "accepted"
    job_id: str
    rejects: Annotated[int, Field(description="open ones that the job will try again")]


class Discarded(Answer):
    discarded: int


class ReplayAsked(Body):
    since_run: Annotated[
        str | None, Field(description="only what was read by this run and those after it")
    ] = None


class DriftRead(Answer):
    id: int
    source: str
    run_id: Annotated[str, Field(description="the first run that showed it")]
    field: str
    change: Literal["added", "removed", "type_changed"]
    before: str | None
    after: str | None
    examples: list[Any]
    confidence: Annotated[
        float,
        Field(description="share of the records looked at that show it; of a removal, how sure"),
    ]
    created_at: datetime


class VersionRead(Answer):
    version: Annotated[int, Field(description="1 is the oldest")]
    run_id: str
    raw_position: Annotated[int, Field(description="within the batch, from 0")]
    content_hash: str
    valid_from: datetime
    valid_to: Annotated[
        datetime | None,
        Field(description="null for the current one, while its source still has the record"),
    ]
    fields: dict[str, Any]
