"""What a version was made of, as edges in the lineage."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import lineage
from astralytiq.core.lineage import ALL_DEVICES, Edge, Kind, Node

from .models import DatasetVersion


async def connect(session: AsyncSession, name: str, version: DatasetVersion) -> None:
    """In the transaction that adds the version to the set `name`."""
    made = Node(Kind.dataset_version, version.reference)
    facets = {"dataset": name, "rows": version.rows, "content_hash": version.content_hash}
    edges = [Edge(node, made, version.job_id, facets) for node in origins_of(version.origin)]
    await lineage.connect(session, edges)


def origins_of(origin: dict[str, Any]) -> Sequence[Node]:
    """A file, a job's work, events of devices, a rule, or the records that runs wrote."""
    kind = origin.get("kind")
    if kind == "upload":
        return [Node(Kind.upload, origin["sha256"])]
    if kind == "predictions":
        return [Node(Kind.batch_prediction, origin["job_id"])]
    if kind == "job":
        return [Node(Kind(origin["of"]["kind"]), origin["of"]["id"])]
    if kind == "telemetry":
        return [Node(Kind.telemetry, origin["device"] or ALL_DEVICES)]
    if kind == "synthetic":
        return [Node(Kind.generator, f"{origin['name']}@{origin['generator']}")]
    return [Node(Kind.records, run_id) for run_id in origin.get("run_ids", ())]
