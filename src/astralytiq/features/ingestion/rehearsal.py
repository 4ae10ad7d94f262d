"""A run that stores nothing: it reads and normalises all, and tells what a run would have done.

The run's own row and its events are all that is written. What a batch would have changed is
remembered, by hashes, so that a record that comes twice is not taken for new twice.
"""

from hashlib import blake2b
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid
from astralytiq.engines.etl import drift as engine
from astralytiq.engines.etl import profiles

from . import drift, events, incremental, limits, records, service, vanished
from .models import Run, RunStatus, SourceFields
from .pipeline import Pipeline, Ready, result_of
from .preparing import Prepared

MOST_REASONS = 20
WOULD_REJECT = "would_reject"
MOST_REMEMBERED = 2_000_000  # records, about 100 bytes each


class Rehearsal(Pipeline):
    keeps = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._told: dict[bytes, bytes] = {}
        self._fields: dict[str, Any] | None = None
        self._reasons = 0
        self._drifts = 0
        self._still_there = 0
        self._forgets = False

    async def store(self, ready: Ready, session: AsyncSession) -> Run:
        run = await session.get_one(Run, self.run_id)
        await self._tell_drift(session, run, ready)
        await self._count(session, run, ready.prepared)
        self._tell_rejects(session, run, ready)
        run.batches += 1
        run.records_processed += ready.prepared.size
        run.profile = profiles.merged(run.profile, ready.prepared.profile)
        await events.keep(session, self.run_id, self.calls)
        service.announce(session, run)
        return run

    async def _count(self, session: AsyncSession, run: Run, found: Prepared) -> None:
        known = await records.look(session, run.source, found.ids)
        for source_id, content_hash in zip(found.ids, found.hashes, strict=True):
            name, content = short(source_id), short(content_hash)
            stored = known.get(source_id)
            before = self._told.get(name) or (None if stored is None else short(stored))
            run.records_inserted += before is None
            run.records_updated += before is not None and before != content
            run.records_unchanged += before == content
            if name not in self._told:
                self._still_there += stored not in (None, records.GONE)
            self._remember(name, content)

    def _remember(self, name: bytes, content: bytes) -> None:
        if len(self._told) < MOST_REMEMBERED or name in self._told:
            self._told[name] = content
        else:
            self._forgets = True

    def _tell_rejects(self, session: AsyncSession, run: Run, ready: Ready) -> None:
        for one in ready.prepared.rejects[: MOST_REASONS - self._reasons]:
            at = run.records_processed + one.position + 1
            words = f"Record {at:,} would be rejected: {one.reason}"
            events.record(session, run.run_id, WOULD_REJECT, words, record=at, reason=one.reason)
            self._reasons += 1
        run.records_failed += len(ready.prepared.rejects)

    async def _tell_drift(self, session: AsyncSession, run: Run, ready: Ready) -> None:
        if not ready.prepared.seen.records:
            return
        if self._fields is None:
            query = select(SourceFields.fields).filter_by(source=run.source)
            self._fields = await session.scalar(query) or {}
        found = engine.changes(self._fields, ready.prepared.seen, run.run_id)
        policy = self.spec.schema_policy
        if found and policy == "freeze":
            raise Invalid(drift.refusal(run.source, found))
        for one in found[: drift.MOST_EVENTS - self._drifts]:
            drift.tell(session, run, one)
            self._drifts += 1
        leave_out = policy == "discard"
        self._fields = engine.known_after(
            self._fields, ready.prepared.seen, run.run_id, leave_out=leave_out
        )

    async def succeed(self, session: AsyncSession) -> dict[str, Any]:
        run = await session.get_one(Run, self.run_id)
        if run.records_failed and run.records_failed == run.records_processed:
            raise Invalid(
                f"All {run.records_processed:,} records would be rejected: see its events."
            )
        limits.refuse_too_many_rejects(self.spec.max_reject_ratio, run, enough=0)
        if self.full_refresh and not run.records_failed and not self._forgets:
            await self._tell_vanished(session, run)
        for one in engine.removals(self._fields or {}, run.run_id)[: drift.MOST_EVENTS]:
            drift.tell(session, run, one)
        self.drill.tell_unreached()
        await events.keep(session, self.run_id, self.calls)
        if self.increment:
            incremental.tell(session, run, self.increment)
        events.record(session, run.run_id, "dry_run", worded(run))
        service.end_run(session, run, RunStatus.success)
        return result_of(run)

    async def _tell_vanished(self, session: AsyncSession, run: Run) -> None:
        if not run.records_processed:
            await vanished.tell_of_nothing(session, run)
            return
        total = await service.count_records(session, run.source)
        run.records_deleted = max(0, total - self._still_there)


def worded(run: Run) -> str:
    return (
        f"Nothing was stored. A run would add {run.records_inserted:,} records, change "
        f"{run.records_updated:,}, leave {run.records_unchanged:,} and reject "
        f"{run.records_failed:,}."
    )


def short(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
