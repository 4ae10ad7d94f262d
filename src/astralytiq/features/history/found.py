"""What a walk through the lineage has found, and how much of it is shown."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from astralytiq.core.lineage import Node

MOST_NODES = 500
MOST_EDGES = 2_000
TOO_MANY = f"It ends at {MOST_NODES:,} nodes or {MOST_EDGES:,} edges, the newest first."


@dataclass(frozen=True)
class Found:
    """An edge as it is shown."""

    origin: Node
    made: Node
    made_by: str | None
    created_at: datetime
    facets: dict[str, Any]


@dataclass
class Graph:
    """Nodes with their facets; `cut` says in words what was left out."""

    start: Node
    nodes: dict[Node, dict[str, Any]]
    edges: dict[tuple[Node, Node], Found] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    is_full: bool = False

    def add(self, edge: Found) -> bool:
        """False if it is one too many: then nothing more comes in."""
        ends = (edge.origin, edge.made)
        if ends in self.edges:
            return True
        fresh = sum(node not in self.nodes for node in ends)
        if len(self.nodes) + fresh > MOST_NODES or len(self.edges) >= MOST_EDGES:
            self.is_full = True
            self.tell(TOO_MANY)
            return False
        self.edges[ends] = edge
        for node in ends:
            self.nodes.setdefault(node, {})
        self.nodes[edge.made] |= edge.facets  # What an edge tells is what it made.
        return True

    def tell(self, words: str) -> None:
        if words not in self.cut:
            self.cut.append(words)
