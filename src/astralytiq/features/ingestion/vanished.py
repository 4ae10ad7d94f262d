"""What a full refresh does not find at its source any more."""

from sqlalchemy.ext.asyncio import AsyncSession

from . import events, records, service
from .models import Run


async def mark(session: AsyncSession, run: Run) -> int:
    """Mark what the source no longer has; nothing while rejects hide what it does have.

    Nothing either if it had nothing at all: that is more often a fault than meant.
    """
    if not run.records_processed:
        await tell_of_nothing(session, run)
    elif not run.records_failed:
        run.records_deleted = await records.mark_vanished(session, run.source, run.run_id)
    return run.records_deleted


async def tell_of_nothing(session: AsyncSession, run: Run) -> None:
    if stored := await service.count_records(session, run.source):
        words = (
            f"The source has no records at all: none of the {stored:,} that are stored was marked "
            "as deleted. If that is meant, remove the source with its records."
        )
        events.record(session, run.run_id, "nothing_read", words, stored=stored)
