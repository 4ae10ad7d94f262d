"""Keeps what was answered: many requests in one transaction, past the ORM."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Table

from astralytiq.core import bulk, direct
from astralytiq.core.db import Database
from astralytiq.core.grouped import Grouped
from astralytiq.core.resources import Resources
from astralytiq.features.registry import serving

from .models import Prediction

TABLE = cast(Table, Prediction.__table__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of `Prediction`."""

    id: str
    model_version_id: int
    model: str
    version: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    rows: int
    latency_ms: float
    actor_id: int | None
    created_at: datetime


COLUMNS = [field.name for field in fields(Recorded)]


def recorder(resources: Resources) -> Grouped[Recorded]:
    return resources.own(
        "predictions.recorder", lambda house: Grouped(partial(keep, house.database))
    )


async def keep(database: Database, recorded: Sequence[Recorded]) -> None:
    columns = {name: list(map(attrgetter(name), recorded)) for name in COLUMNS}
    rows = bulk.rows_of(TABLE, columns, for_sqlite=database.is_sqlite)
    times: defaultdict[int, list[float]] = defaultdict(list)
    for one in recorded:
        times[one.model_version_id].append(one.latency_ms)
    counts = [  # In one order, so that two groups cannot wait for each other.
        serving.counted(version_id, len(spent), sum(spent))
        for version_id, spent in sorted(times.items())
    ]
    await direct.store(database, [rows], counts)
