"""What extraction hands on, whatever the kind of the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Position = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Payloads as they came, where reading goes on after them, and how far that is (0 to 1)."""

    payloads: Sequence[Any]
    position: Position
    progress: float
