"""What the history doors take and give out."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from astralytiq.core.lineage import Kind
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


class Direction(StrEnum):
    up = "up"
    down = "down"
    both = "both"


class NodeType(StrEnum):
    """What OpenLineage takes it for."""

    dataset = "dataset"
    run = "run"


class NodeRead(Answer):
    kind: Kind
    id: str
    type: NodeType
    namespace: str
    name: str = Field(description="tells it from all other things of the namespace")
    href: str | None = Field(description="the door that tells more of it")
    facets: dict[str, Any] = Field(
        description="figures from the edge that made it; of a model version also how many "
        "predictions the caller may see, counted up to 10,000"
    )


class EndRead(Answer):
    kind: Kind
    id: str


class EdgeRead(Answer):
    """`made` came of `origin`."""

    origin: EndRead
    made: EndRead
    made_by: str | None = Field(description="the job or the run that did it")
    created_at: datetime


class LineageRead(Answer):
    start: EndRead
    nodes: list[NodeRead]
    edges: list[EdgeRead]
    is_cut: bool
    cut: list[str] = Field(description="what was left out, in words")
