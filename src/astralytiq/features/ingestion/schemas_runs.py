"""What the doors to runs and their statistics take in and give out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from astralytiq.core.schemas import Answer, Body
from astralytiq.engines.etl import faults

from .checks import known_fault
from .models import RunKind, RunStatus

FaultAsked = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"pattern": faults.PATTERN}),
    AfterValidator(known_fault),
]


class RunAsked(Body):
    full_refresh: Annotated[
        bool, Field(description="also drop the records that the source no longer has")
    ] = False
    dry_run: Annotated[
        bool, Field(description="store nothing, and tell what a run would have done")
    ] = False
    inject: Annotated[
        list[FaultAsked],
        Field(max_length=20, description="faults for the run to meet, each once, as a drill"),
    ] = Field(default_factory=list)


class RunRead(Answer):
    run_id: str
    source: str
    job_id: str | None
    kind: Annotated[RunKind, Field(description="replay: of the payloads stored by earlier runs")]
    trigger: Annotated[str, Field(description="what began it: manual, schedule or retry")]
    dry_run: Annotated[bool, Field(description="its counts are of what it would have done")]
    status: RunStatus
    start_time: datetime
    end_time: datetime | None
    duration_ms: float | None
    batches: int
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    records_unchanged: int
    records_deleted: int
    error: str | None


class RunsAccepted(Answer):
    status: Literal["accepted"] = "accepted"
    runs: list[RunRead]


class RunInStats(Answer):
    run_id: str
    source: str
    start_time: datetime
    end_time: datetime | None
    status: RunStatus
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    duration_ms: float | None


class SourceStats(Answer):
    runs: int
    records_processed: int
    records_inserted: int
    records_updated: int
    records_failed: int
    last_run_id: str
    last_run_timestamp: datetime
    last_run_status: RunStatus


class Stats(Answer):
    last_run_id: str | None
    total_records_processed: int
    total_records_inserted: int
    total_records_updated: int
    total_records_failed: int
    last_run_timestamp: datetime | None
    last_run_status: RunStatus | None
    last_failure_timestamp: datetime | None
    runs: list[RunInStats]
    sources: dict[str, SourceStats]
