"""Predictions in the lineage: they have no edges of their own, but name their model version."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import NotFound
from astralytiq.core.lineage import Kind, LineageEdge, Node
from astralytiq.core.security import Actor
from astralytiq.features.predictions import service as predictions
from astralytiq.features.predictions import tracing
from astralytiq.features.registry import service as registry

from .found import Found, Graph

SHOWN = 20  # predictions of a model version, the newest
MOST_VERSIONS = 20  # that are asked for theirs
SERVING = (Kind.model_version, Kind.deployment)
SCOPE = "models:read"


async def edge_to(session: AsyncSession, actor: Actor, node: Node) -> Found:
    """Raises NotFound unless the prediction is the actor's to see."""
    actor.require(SCOPE)
    found = await predictions.get(session, actor, node.id)
    since = await deployment_of(session, f"{found.model}@{found.version}")
    return edge(f"{found.model}@{found.version}", since, found)


async def show(session: AsyncSession, actor: Actor, graph: Graph, below: Iterable[Node]) -> None:
    """Of each model version below, how many predictions the actor may see, and the newest."""
    if SCOPE not in actor.scopes:
        return
    references = sorted({node.id for node in below if node.kind in SERVING})
    if len(references) > MOST_VERSIONS:
        graph.tell(f"Predictions of {MOST_VERSIONS} model versions are shown.")
    for reference in references[:MOST_VERSIONS]:
        await show_those_of(session, actor, graph, reference)


async def show_those_of(session: AsyncSession, actor: Actor, graph: Graph, reference: str) -> None:
    version_id = await version_id_of(session, reference)
    if version_id is None:
        return
    since = await deployment_of(session, reference)
    for row in await tracing.newest_of(session, actor, version_id, SHOWN):
        found = edge(reference, since, row)
        if found.origin in graph.nodes:  # From a deployment down: only what came of it.
            graph.add(found)
    count = await tracing.count_of(session, actor, version_id)
    if count > SHOWN:
        graph.tell(f"Of each model version the newest {SHOWN} predictions are shown.")
    for node in {Node(kind, reference) for kind in SERVING} & graph.nodes.keys():
        graph.nodes[node] |= {"predictions": count}


def edge(reference: str, since: datetime | None, prediction: Any) -> Found:
    """From the deployment if there was one by then, else from the version itself."""
    deployed = since is not None and prediction.created_at >= since
    origin = Node(Kind.deployment if deployed else Kind.model_version, reference)
    made = Node(Kind.prediction, prediction.id)
    return Found(origin, made, None, prediction.created_at, {"rows": prediction.rows})


async def deployment_of(session: AsyncSession, reference: str) -> datetime | None:
    """When the version first went into production."""
    query = select(LineageEdge.created_at).filter_by(to_kind=Kind.deployment, to_id=reference)
    return await session.scalar(query.limit(1))


async def version_id_of(session: AsyncSession, reference: str) -> int | None:
    try:
        version = await registry.by_reference(session, reference)
    except NotFound:
        return None
    return version.id
