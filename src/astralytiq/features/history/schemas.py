"""What the history doors take and give out."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from astralytiq.core.schemas import Answer


class ExportFormat(StrEnum):
    csv = "csv"
    jsonl = "jsonl"


class AuditRead(Answer):
    sequence: int
    created_at: datetime
    actor_id: int | None
    actor_name: str | None = Field(description="outside the chain: an erased person has none")
    via: str = Field(description="how they came in: password, bearer, job, system, anonymous …")
    action: str
    resource: str
    outcome: str
    address: str | None = Field(description="outside the chain, which holds its salted digest")
    address_digest: str | None
    request_id: str | None
    details: dict[str, Any]
    previous_hash: str
    hash: str


class FaultRead(Answer):
    sequence: int
    reason: str


class HeadRead(Answer):
    sequence: int
    hash: str


class VerdictRead(Answer):
    rows: int = Field(description="how many rows fit, from the first one on")
    ok: bool
    first_fault: FaultRead | None
    head: HeadRead | None = Field(
        description="where the chain ends; noted elsewhere, it proves later that nothing up to "
        "there was rewritten (expect=SEQUENCE:HASH)"
    )
