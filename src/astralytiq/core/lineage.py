"""What came of what: edges between things, in the transaction of the change that made them.

Named as OpenLineage names things: a data set or a run has a namespace and, within it, a name that
tells it from all others. Runs stand between their inputs and outputs. Rooms write edges here;
`features/history` reads them. Predictions have none: there are too many, and each names its model
version itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Index, Table, UniqueConstraint, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Entity, utc_now

NAMESPACE = "astralytiq"
ALL_DEVICES = "*"


class Kind(StrEnum):
    """What a node is; its id is what its room calls it by."""

    source = "source"  # its name
    run = "run"  # of ingestion, by its id
    raw = "raw"  # the payloads that a run stored, by the run's id
    records = "records"  # the records that a run wrote, by the run's id
    telemetry = "telemetry"  # events, by what their device calls itself; "*" of all devices
    generator = "generator"  # a rule that makes data up: "drowsiness@1", with its version
    upload = "upload"  # a file that somebody sent, by its SHA-256
    dataset_version = "dataset_version"  # "7@2"
    training_run = "training_run"  # by its job's id
    model_version = "model_version"  # "flowers@3"
    deployment = "deployment"  # a model version in production: "flowers@3"
    prediction = "prediction"  # its id
    batch_prediction = "batch_prediction"  # by its job's id


@dataclass(frozen=True)
class Node:
    kind: Kind
    id: str


@dataclass(frozen=True)
class Edge:
    """`made` came of `origin`; `by` names the job or run that did it, `facets` what it made."""

    origin: Node
    made: Node
    by: str | None = None
    facets: dict[str, Any] = field(default_factory=dict)


class LineageEdge(Entity):
    __tablename__ = "lineage_edges"
    __table_args__ = (
        UniqueConstraint("from_kind", "from_id", "to_kind", "to_id"),  # Also the way down.
        Index("ix_lineage_edges_to_kind_to_id", "to_kind", "to_id"),
    )

    from_kind: Mapped[Kind]
    from_id: Mapped[str]
    to_kind: Mapped[Kind]
    to_id: Mapped[str]
    made_by: Mapped[str | None]
    # Small, and nothing of a person: edges outlive what they join.
    facets: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))

    @property
    def origin(self) -> Node:
        return Node(self.from_kind, self.from_id)

    @property
    def made(self) -> Node:
        return Node(self.to_kind, self.to_id)


TABLE = cast(Table, LineageEdge.__table__)
ENDS = ("from_kind", "from_id", "to_kind", "to_id")


async def connect(session: AsyncSession, edges: Iterable[Edge]) -> None:
    """Write edges; what is known already keeps its time and takes the new facets.

    So a job that runs again writes none twice. In one order, so that two cannot wait for each
    other.
    """
    now = utc_now()
    rows = {(edge.origin, edge.made): row_of(edge) | {"created_at": now} for edge in edges}
    if not rows:
        return
    ordered = sorted(rows.values(), key=lambda row: [row[end] for end in ENDS])
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    statement = (sqlite if is_sqlite else postgresql).insert(TABLE)
    newer = {"facets": statement.excluded.facets, "made_by": statement.excluded.made_by}
    await session.execute(
        statement.on_conflict_do_update(index_elements=list(ENDS), set_=newer), ordered
    )


def row_of(edge: Edge) -> dict[str, Any]:
    return {
        "from_kind": edge.origin.kind,
        "from_id": edge.origin.id,
        "to_kind": edge.made.kind,
        "to_id": edge.made.id,
        "made_by": edge.by,
        "facets": edge.facets,
    }
