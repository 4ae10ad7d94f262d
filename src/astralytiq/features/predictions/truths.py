"""What is told of predictions afterwards: whose truth it is, and what becomes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .models import Outcome

PART_IDS = 500

Loc = tuple[str | int, ...]
Place = tuple[str, int]  # a prediction, and its row


@dataclass(frozen=True)
class Told:
    """The truth of one row, and where it stands in the body."""

    prediction_id: str
    row: int
    outcome: Any
    observed_at: datetime | None
    loc: Loc

    @property
    def place(self) -> Place:
        return self.prediction_id, self.row


@dataclass(frozen=True)
class Asked:
    """A prediction that truths are told of."""

    id: str
    model_version_id: int
    model: str
    rows: int
    actor_id: int | None
    created_at: datetime

    @property
    def hour(self) -> datetime:
        return self.created_at.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Change:
    """A row whose truth is new, or another than before."""

    asked: Asked
    told: Told
    predicted: Any
    before: Outcome | None


def parted(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + PART_IDS] for start in range(0, len(ids), PART_IDS))
