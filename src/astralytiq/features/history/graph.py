"""The lineage graph around a thing: walked level by level over the edges that rooms wrote."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.lineage import Kind, LineageEdge, Node
from astralytiq.core.security import Actor

from . import served
from .found import MOST_EDGES, Found, Graph
from .schemas import Direction


async def around(
    session: AsyncSession, actor: Actor, start: Node, direction: Direction, depth: int
) -> Graph:
    """What `start` came of, what came of it, or both; not what else came of its origins."""
    graph = Graph(start, {start: {}})
    if direction is not Direction.down:
        origin = await origin_of(session, actor, graph)
        await walk(session, graph, origin, depth, UP)
    if direction is not Direction.up:
        await tell_start(session, graph)
        below = await walk(session, graph, start, depth, DOWN)
        await served.show(session, actor, graph, below)
    return graph


async def origin_of(session: AsyncSession, actor: Actor, graph: Graph) -> Node:
    """Where the edges that are stored begin: above a prediction that is its model version."""
    if graph.start.kind is not Kind.prediction:
        return graph.start
    edge = await served.edge_to(session, actor, graph.start)
    graph.add(edge)
    return edge.origin


async def tell_start(session: AsyncSession, graph: Graph) -> None:
    """A node's facets come with the edges to it, which the way down does not meet."""
    for edge in await edges_at(session, UP, {graph.start}, limit=1):
        graph.nodes[graph.start] |= edge.facets


# Along edges ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """Which end of an edge one comes from, and which one goes to."""

    kind: Any
    id: Any
    onwards: Callable[[Found], Node]


UP = Way(LineageEdge.to_kind, LineageEdge.to_id, lambda edge: edge.origin)
DOWN = Way(LineageEdge.from_kind, LineageEdge.from_id, lambda edge: edge.made)


async def walk(session: AsyncSession, graph: Graph, start: Node, depth: int, way: Way) -> set[Node]:
    """All that is reached. A node is left once only, so that a cycle ends."""
    seen, front = {start}, {start}
    for _ in range(depth):
        if not front or graph.is_full:
            break
        found = await edges_at(session, way, front)
        front = {way.onwards(edge) for edge in found if graph.add(edge)} - seen
        seen |= front
    if front and not graph.is_full and await edges_at(session, way, front, limit=1):
        graph.tell(f"It ends after {depth} steps: ask for a greater depth.")
    return seen


async def edges_at(
    session: AsyncSession, way: Way, nodes: Iterable[Node], limit: int = MOST_EDGES + 1
) -> list[Found]:
    ids: defaultdict[Kind, list[str]] = defaultdict(list)
    for node in nodes:
        ids[node.kind].append(node.id)
    ends = [and_(way.kind == kind, way.id.in_(sorted(named))) for kind, named in ids.items()]
    query = select(LineageEdge).where(or_(*ends)).order_by(LineageEdge.id.desc()).limit(limit)
    return [shown(edge) for edge in await session.scalars(query)]


def shown(edge: LineageEdge) -> Found:
    return Found(edge.origin, edge.made, edge.made_by, edge.created_at, edge.facets)
