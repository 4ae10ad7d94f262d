"""The table that a run leaves beside its records: what it had to reject."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.job_tables import Rows, job_table
from astralytiq.core.jobs import Job
from astralytiq.core.lineage import Kind, Node

from . import service
from .models import Reject

AT_ONCE = 1_000


def run_of(job: Job) -> Node:
    return Node(Kind.run, job.arguments["run_id"])


@job_table(
    service.JOB,
    "rejects",
    "a run leaves what it could not read or map, with the reason and the payload.",
    scope="runs:read",
    columns=("reject_id", "raw_position", "reason", "rejected_at", "payload"),
    origin_of=run_of,
)
async def rejects(session: AsyncSession, job: Job) -> Rows:
    """Whatever became of them since."""
    of_run = select(Reject).where(Reject.run_id == job.arguments["run_id"]).order_by(Reject.id)
    page = (await session.scalars(of_run.limit(AT_ONCE))).all()
    while page:
        for reject in page:
            yield shown(reject)
        page = (await session.scalars(of_run.where(Reject.id > page[-1].id).limit(AT_ONCE))).all()


def shown(reject: Reject) -> dict[str, Any]:
    return {
        "reject_id": reject.id,
        "raw_position": reject.raw_position,
        "reason": reject.reason,
        "rejected_at": reject.created_at,
        "payload": reject.payload,
    }
