"""The lineage as its doors answer it."""

from astralytiq.core.lineage import NAMESPACE, Node

from .found import Found, Graph
from .schemas import EdgeRead, EndRead, LineageRead, NodeRead, NodeType
from .things import RUNS, href_of, name_of


def read(graph: Graph) -> LineageRead:
    """In an order that says what came first."""
    edges = sorted(graph.edges.values(), key=lambda one: (one.created_at, one.made.id))
    return LineageRead(
        start=end(graph.start),
        nodes=[node_read(node, facets) for node, facets in graph.nodes.items()],
        edges=[edge_read(edge) for edge in edges],
        is_cut=bool(graph.cut),
        cut=graph.cut,
    )


def end(node: Node) -> EndRead:
    return EndRead(kind=node.kind, id=node.id)


def node_read(node: Node, facets: dict[str, object]) -> NodeRead:
    return NodeRead(
        kind=node.kind,
        id=node.id,
        type=NodeType.run if node.kind in RUNS else NodeType.dataset,
        namespace=NAMESPACE,
        name=name_of(node),
        href=href_of(node),
        facets=facets,
    )


def edge_read(edge: Found) -> EdgeRead:
    return EdgeRead(
        origin=end(edge.origin),
        made=end(edge.made),
        made_by=edge.made_by,
        created_at=edge.created_at,
    )
