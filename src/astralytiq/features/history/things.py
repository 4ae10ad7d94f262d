"""The things that lineage joins: whether there is one, and which door tells more of it."""

from urllib.parse import quote

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid, NotFound
from astralytiq.core.lineage import ALL_DEVICES, Kind, LineageEdge, Node
from astralytiq.features.datasets import service as datasets
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.registry import service as registry
from astralytiq.features.telemetry import devices as telemetry

# How the names begin that tell things of one kind from all others of the namespace.
PLURALS = {
    Kind.source: "sources",
    Kind.run: "runs",
    Kind.raw: "raw",
    Kind.records: "records",
    Kind.telemetry: "telemetry",
    Kind.generator: "generators",
    Kind.upload: "uploads",
    Kind.dataset_version: "datasets",
    Kind.training_run: "trainings",
    Kind.model_version: "models",
    Kind.deployment: "deployments",
    Kind.prediction: "predictions",
    Kind.batch_prediction: "batches",
}
# The others are data sets, as OpenLineage has it.
RUNS = frozenset({Kind.run, Kind.training_run, Kind.batch_prediction})


def name_of(node: Node) -> str:
    return f"{PLURALS[node.kind]}/{node.id}"


def href_of(node: Node) -> str | None:
    """The door that tells more of it."""
    this, _, number = node.id.rpartition("@")
    known = {
        Kind.source: f"sources/{quote(node.id)}",
        Kind.run: f"etl/runs/{quote(node.id)}",
        Kind.raw: f"etl/runs/{quote(node.id)}",
        Kind.records: f"etl/runs/{quote(node.id)}",
        Kind.telemetry: f"statistics{of_device(node.id)}",
        Kind.dataset_version: f"datasets/{quote(this)}/preview?version={quote(number)}",
        Kind.training_run: f"jobs/{quote(node.id)}",
        Kind.batch_prediction: f"jobs/{quote(node.id)}",
        Kind.model_version: f"models/{quote(this)}/versions/{quote(number)}",
        Kind.deployment: f"models/{quote(this)}",
        Kind.prediction: f"predictions/{quote(node.id)}",
    }
    return f"/api/v1/{known[node.kind]}" if node.kind in known else None


def of_device(device_id: str) -> str:
    return "" if device_id == ALL_DEVICES else f"?device={quote(device_id, safe='')}"


async def find(session: AsyncSession, kind: Kind, thing_id: str) -> Node:
    """The thing as edges name it. A thing that is gone is found while its edges tell of it."""
    if not thing_id.isprintable():  # PostgreSQL refuses a NUL, which no id has.
        raise missing(kind, thing_id)
    node = Node(kind, thing_id)
    if kind is Kind.prediction or await has_edges(session, node):
        return node
    return Node(kind, await known_as(session, node))


async def version_of(session: AsyncSession, dataset_id: int, number: int | None) -> Node:
    found = await datasets.get_version(session, dataset_id, number)
    return Node(Kind.dataset_version, found.reference)


async def has_edges(session: AsyncSession, node: Node) -> bool:
    made = (LineageEdge.to_kind == node.kind) & (LineageEdge.to_id == node.id)
    origin = (LineageEdge.from_kind == node.kind) & (LineageEdge.from_id == node.id)
    query = select(LineageEdge.id).where(or_(made, origin)).limit(1)
    return await session.scalar(query) is not None


async def known_as(session: AsyncSession, node: Node) -> str:
    """Of a thing that nothing came of yet, and that came of nothing: its room knows it."""
    if node.kind is Kind.source and await ingestion.find_source(session, node.id):
        return node.id
    if node.kind is Kind.telemetry and await telemetry.is_known(session, node.id):
        return node.id
    if node.kind is Kind.run:
        return (await ingestion.get_run(session, node.id)).run_id
    if node.kind is Kind.dataset_version:
        try:
            return (await datasets.resolve(session, node.id)).reference
        except Invalid as fault:
            raise NotFound(fault.detail) from None
    if node.kind is Kind.model_version:
        await registry.by_reference(session, node.id)
        return node.id
    raise missing(node.kind, node.id)


def missing(kind: Kind, thing_id: str) -> NotFound:
    words = kind.replace("_", " ")
    return NotFound(f"There is no {words} {thing_id!r} in the lineage.")
