"""Tables that jobs leave behind: each room says which its jobs do, the data-set room freezes them.

The modules that register are loaded by `wiring.load_jobs`, as workers read these tables.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.jobs import Job
from astralytiq.core.lineage import Node

Rows = AsyncIterator[dict[str, Any]]
RowsOf = Callable[[AsyncSession, Job], Rows]
OriginOf = Callable[[Job], Node]


@dataclass(frozen=True)
class JobTable:
    """A table of a finished job: read as often as one likes, it has the same rows."""

    about: str
    scope: str  # Whoever has it may read the table of anybody's job.
    columns: Sequence[str]  # in their order; others follow by name
    origin_of: OriginOf
    rows_of: RowsOf


TABLES: dict[str, dict[str, JobTable]] = {}  # by the job's kind, then by the table's name


def job_table(
    kind: str, name: str, about: str, *, scope: str, columns: Sequence[str], origin_of: OriginOf
) -> Callable[[RowsOf], RowsOf]:
    """Register what gives the rows of the table `name` that jobs of `kind` leave."""

    def register(rows_of: RowsOf) -> RowsOf:
        tables = TABLES.setdefault(kind, {})
        if name in tables:
            raise ValueError(f"Two tables of {kind!r} are named {name!r}.")
        tables[name] = JobTable(about, scope, columns, origin_of, rows_of)
        return rows_of

    return register
