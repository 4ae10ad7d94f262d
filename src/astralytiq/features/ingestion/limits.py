"""When a run has failed although each of its batches was stored: too much was rejected."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid

from .models import Reject, Run

# A share of fewer records than these says nothing yet; at a run's end it does.
ENOUGH = 100
BECAUSE = ", the first because: "  # An erasure forgets what follows it.


def refuse_too_many_rejects(most: float | None, run: Run, enough: int = ENOUGH) -> None:
    """What was stored stays, and so does the checkpoint."""
    read, failed = run.records_processed, run.records_failed
    if most is None or not failed or read < enough or failed <= most * read:
        return
    raise Invalid(
        f"{failed:,} of {read:,} records were rejected, more than max_reject_ratio {most:g} "
        f"allows. See GET /api/v1/etl/rejects?run_id={run.run_id}, mend the source or its "
        "mapping, or raise max_reject_ratio; then run it again."
    )


async def refuse_nothing_but_rejects(session: AsyncSession, run: Run) -> None:
    """A source of which nothing could be read has failed, whatever its batches say."""
    if not run.records_failed or run.records_failed < run.records_processed:
        return
    first = select(Reject.reason).where(Reject.run_id == run.run_id).order_by(Reject.id)
    reason = await session.scalar(first.limit(1))
    words = (reason or "").rstrip(".")
    raise Invalid(
        f"All {run.records_processed:,} records were rejected{BECAUSE}{words}. "
        f"See GET /api/v1/etl/rejects?run_id={run.run_id}, mend the source, and run it again."
    )
