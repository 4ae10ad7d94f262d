"""Keeps what was answered: many requests in one transaction, past the ORM."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Table

from astralytiq.core import bulk, direct
from astralytiq.core.direct import Statement
from astralytiq.core.grouped import Grouped
from astralytiq.core.resources import Resources
from astralytiq.features.registry import serving

from .asking_to_count import CountingAsked
from .models import Prediction, Uncounted

TABLE = cast(Table, Prediction.__table__)
NOT_COUNTED = f'INSERT INTO {Uncounted.__tablename__} (ids, "rows") VALUES (?, ?)'
MOST_ROWS = 10_000  # of a group that is counted at once; a single prediction may have as many


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
    return resources.own("predictions.recorder", recorder_of)


def recorder_of(house: Resources) -> Grouped[Recorded]:
    asked = house.own("predictions.counting", CountingAsked)
    return Grouped(partial(keep, house, asked))


async def keep(house: Resources, asked: CountingAsked, recorded: Sequence[Recorded]) -> None:
    database = house.database
    columns = {name: list(map(attrgetter(name), recorded)) for name in COLUMNS}
    rows = bulk.rows_of(TABLE, columns, for_sqlite=database.is_sqlite)
    times: defaultdict[int, list[float]] = defaultdict(list)
    for one in recorded:
        times[one.model_version_id].append(one.latency_ms)
    counts = [  # In one order, so that two groups cannot wait for each other.
        serving.counted(version_id, len(spent), sum(spent))
        for version_id, spent in sorted(times.items())
    ]
    await direct.store(database, [rows], [*map(uncounted, parted(recorded)), *counts])
    asked.soon()


def uncounted(group: Sequence[Recorded]) -> Statement:
    """A row of `Uncounted`. Written out: through `bulk` it costs ten times as much."""
    ids = ",".join(one.id for one in group)
    return Statement(NOT_COUNTED, (ids, sum(one.rows for one in group)))


def parted(recorded: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    """Mostly one group; more where so many rows would not fit into memory at once."""
    if sum(one.rows for one in recorded) <= MOST_ROWS:
        yield recorded
        return
    group, rows = list[Recorded](), 0
    for one in recorded:
        if group and rows + one.rows > MOST_ROWS:
            yield group
            group, rows = [], 0
        group.append(one)
        rows += one.rows
    yield group
