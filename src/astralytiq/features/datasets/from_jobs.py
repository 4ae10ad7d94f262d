"""Data sets of the tables that jobs leave: which there are, and how one becomes a Parquet file."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs
from astralytiq.core.errors import Conflict, Fault, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.job_tables import TABLES, JobTable
from astralytiq.core.jobs import FINISHED, Job
from astralytiq.core.security import Actor
from astralytiq.core.storage import writing_aside
from astralytiq.engines.tabular.parquet import ParquetWriter
from astralytiq.engines.tabular.records import Discovery, Row, to_table
from astralytiq.features.jobs import service as visible

from .tables import BATCH, Written, hold_view

Query = dict[str, Any]  # {job, table}
FIELD = ("body", "from_job")


async def settled(session: AsyncSession, actor: Actor, query: Query) -> Query:
    """With the table named; refuses what nobody could freeze, or `actor` may not see."""
    job = await jobs.get(session, query["job"])
    known = TABLES.get(job.name, {})
    if not known:
        await visible.get(session, actor, job.id)
        made = (job.result or {}).get("dataset")
        hint = f" Its output is the data set {made}." if made else ""
        raise refusal("job_id", f"A job of kind {job.name} leaves no table.{hint} {kinds()}")
    name = query["table"] or (next(iter(known)) if len(known) == 1 else None)
    if name not in known:
        raise refusal(
            "table", f"A job of kind {job.name} leaves {sorted(known)}: name one of them."
        )
    actor.require(known[name].scope)
    if job.status not in FINISHED:
        raise Conflict(f"The job {job.id} is {job.status}: wait for its end.")
    async for _ in known[name].rows_of(session, job):
        return {"job": job.id, "table": name}
    raise refusal("job_id", f"The job {job.id} left no {name}: {known[name].about}")


def kinds() -> str:
    return f"Tables come from {', '.join(sorted(TABLES))}."


def refusal(field: str, words: str) -> Invalid:
    return Invalid(words, faults=(Fault((*FIELD, field), words),))


async def written(
    work: Work, session: AsyncSession, query: Query, key: str
) -> tuple[Written, dict[str, Any]]:
    """The file, and the version's origin. Two passes: learn the columns, then write them."""
    await hold_view(session)
    job = await jobs.get(session, query["job"])
    table = TABLES[job.name][query["table"]]
    found = Discovery()
    async for part in parts(table, session, job):
        await asyncio.to_thread(found.see, part)
        work.report(0.1, "reading", f"{found.rows} rows")
    columns = found.columns(table.columns, frozenset())
    storage = work.resources.storage
    async with writing_aside(storage, key) as file:
        with ParquetWriter(file, columns) as writer:
            async for part in parts(table, session, job):
                writer.add(await asyncio.to_thread(to_table, part, columns))
                work.report(0.1 + 0.8 * writer.rows / found.rows, "writing", f"{writer.rows} rows")
    stored = await asyncio.to_thread(storage.describe, key)
    return Written(stored, writer.rows, columns), origin_of(job, table, query["table"])


async def parts(table: JobTable, session: AsyncSession, job: Job) -> AsyncIterator[list[Row]]:
    part: list[Row] = []
    async for row in table.rows_of(session, job):
        part.append(row)
        if len(part) == BATCH:
            yield part
            part = []
    if part:
        yield part


def origin_of(job: Job, table: JobTable, name: str) -> dict[str, Any]:
    node = table.origin_of(job)
    return {
        "kind": "job",
        "job_id": job.id,
        "job_kind": job.name,
        "table": name,
        "of": {"kind": node.kind, "id": node.id},
    }
