"""One run: extract, normalise, store, a batch at a time, each batch in one transaction.

Raw payloads, records, rejects, the checkpoint and the run's counters commit together, so a process
that dies at any point loses nothing and doubles nothing: the job's next attempt goes on after the
last batch that was committed.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import bulk, memory
from astralytiq.core.db import utc_now
from astralytiq.core.executor import Work
from astralytiq.core.settings import Settings
from astralytiq.engines.etl import profiles
from astralytiq.engines.etl.normalise import Normaliser

from . import (
    anomalies,
    calls,
    drift,
    events,
    extract,
    incremental,
    indexing,
    limits,
    records,
    secrets,
    service,
    tracing,
    vanished,
)
from .batches import Batch, Position, ahead, gathered
from .calls import Calls, Validators
from .increment import Increment
from .injection import Drill
from .models import Checkpoint, DataRecord, Reject, Run, RunStatus
from .placeholders import filled
from .preparing import Prepared, Preparer, Way
from .raw import RAW_TABLES
from .schemas import CsvSource
from .service import Spec


@dataclass(frozen=True)
class Ready:
    """A batch, with all that could be computed before its transaction."""

    batch: Batch
    prepared: Prepared


class Pipeline:
    """The work of one attempt at one run."""

    keeps = True

    def __init__(
        self,
        work: Work,
        run: Run,
        spec: Spec,
        full_refresh: bool,
        let_in: frozenset[str] | None,
        known: Validators,
    ) -> None:
        self.work = work
        self.run_id = run.run_id
        self.spec = spec
        self.full_refresh = full_refresh
        self.calls = Calls({} if full_refresh else known, work.check)
        self.drill = Drill([], self.calls)
        self.increment: Increment | None = None
        # As far as the last batch tells.
        self.all_new, self.all_known = True, False
        for_sqlite = work.resources.database.is_sqlite
        self.preparer = Preparer(way_of(spec, let_in, for_sqlite=for_sqlite))
        self.raw_table = RAW_TABLES[spec.kind]

    async def load(self, position: Position | None) -> dict[str, Any]:
        resources = self.work.resources
        try:
            keys = resources.settings.signing_keys
            self.calls.secret = await secrets.revealed(resources.database, keys, self.spec)
            await self._load_batches(resources.settings, position)
        except Exception:
            await events.keep_apart(resources.database, self.run_id, self.calls)
            raise
        return await self.work.step(self.succeed)

    async def _load_batches(self, settings: Settings, position: Position | None) -> None:
        asked = filled(self.spec, self.increment.asked) if self.increment else self.spec
        read = extract.batches(settings, asked, position, self.calls)
        arranged = self.drill.batches(read, position, self.spec.kind)
        async with (
            aclosing(incremental.only_new(arranged, self.increment, self.work.check)) as found,
            aclosing(gathered(found, self.spec.batch_size)) as whole,
            aclosing(ahead(whole)) as read_ahead,
            aclosing(ahead(self.prepared(read_ahead))) as batches,
        ):
            async for ready in batches:
                progress = ready.batch.progress
                store = await self.drill.armed(partial(self.store, ready))
                run = await self.work.step(store, progress=progress)
                memory.sweep()
                self.work.report(progress, "loading", f"{run.records_processed:,} records")
                limits.refuse_too_many_rejects(self.spec.max_reject_ratio, run)

    async def prepared(self, found: AsyncGenerator[Batch]) -> AsyncGenerator[Ready]:
        async for batch in found:
            prepared = await self._prepared(batch, lean=self.all_known)
            yield Ready(batch, prepared)

    async def _prepared(self, batch: Batch, *, lean: bool = False) -> Prepared:
        return await asyncio.to_thread(self.preparer.prepare, batch.payloads, lean=lean)

    async def store(self, ready: Ready, session: AsyncSession) -> Run:
        """One batch and all that belongs to it."""
        run = await session.get_one(Run, self.run_id)
        await drift.record(session, run, ready.prepared.seen, self.spec.schema_policy)
        # The run's row is changed at the end only: before, each statement would write it anew.
        raw_id = await self._store_raw(session, run, ready)
        origin = {"run_id": self.run_id, "raw_id": raw_id}
        now = utc_now()
        await self._store_records(session, run, ready, origin, now)
        await self._store_rejects(session, run, ready, origin)
        run.batches += 1
        run.records_processed += ready.prepared.size
        run.profile = profiles.merged(run.profile, ready.prepared.profile)
        await self._store_position(session, run, ready.batch.position)
        await events.keep(session, self.run_id, self.calls)
        service.announce(session, run)
        return run

    async def _store_raw(self, session: AsyncSession, run: Run, ready: Ready) -> int:
        values = {
            "source": run.source,
            "run_id": run.run_id,
            "batch": run.batches + 1,
            "record_count": ready.prepared.size,
            "payload": ready.prepared.raw,
        }
        stored = insert(self.raw_table).values(values).returning(self.raw_table.id)
        return (await session.execute(stored)).scalar_one()

    async def _store_records(
        self,
        session: AsyncSession,
        run: Run,
        ready: Ready,
        origin: dict[str, Any],
        now: datetime,
    ) -> None:
        prepared, known = ready.prepared, None
        if prepared.lean:
            known = await records.look(session, run.source, prepared.ids)
            if known != dict(zip(prepared.ids, prepared.hashes, strict=True)):
                prepared = await self._prepared(ready.batch)
        values = origin | {"created_at": now, "updated_at": now}
        found = records.incoming(prepared, values)
        done = await records.store(
            session,
            run.source,
            found,
            now,
            # What the source still has carries this run's id from now on; `succeed` marks the rest.
            touch=self.full_refresh,
            hopeful=self.all_new and known is None,
            known=known,
        )
        self.all_new = done.inserted == len(found.ids)
        self.all_known = done.unchanged == len(found.ids) and not self.full_refresh
        run.records_inserted += done.inserted
        run.records_updated += done.updated
        run.records_unchanged += done.unchanged

    async def _store_rejects(
        self, session: AsyncSession, run: Run, ready: Ready, origin: dict[str, Any]
    ) -> None:
        rejects = [
            {
                **origin,
                "source": run.source,
                "raw_position": one.position,
                "reason": one.reason,
                "payload": one.payload,
            }
            for one in ready.prepared.rejects
        ]
        if rejects:
            await session.execute(insert(Reject), rejects)
        run.records_failed += len(rejects)

    async def _store_position(self, session: AsyncSession, run: Run, position: Position) -> None:
        values: dict[str, Any] = {"run_id": run.run_id, "batch": run.batches}
        values["position"] = extract.placed(position, self.spec)
        statement = update(Checkpoint).where(Checkpoint.source == run.source)
        stored = await session.execute(statement.values(**values).returning(Checkpoint.id))
        if stored.first() is None:
            session.add(Checkpoint(source=run.source, **values))

    async def succeed(self, session: AsyncSession) -> dict[str, Any]:
        run = await session.get_one(Run, self.run_id)
        await limits.refuse_nothing_but_rejects(session, run)
        limits.refuse_too_many_rejects(self.spec.max_reject_ratio, run, enough=0)
        await drift.record_removals(session, run)
        result = result_of(run)
        if self.full_refresh:
            result["records_deleted"] = await vanished.mark(session, run)
        await self._keep_calls(session, run)
        await incremental.keep(session, run, self.increment)
        service.end_run(session, run, RunStatus.success)
        await tracing.connect(session, run)
        await indexing.enqueue(session)
        await anomalies.record(session, run)
        return result

    async def _keep_calls(self, session: AsyncSession, run: Run) -> None:
        self.drill.tell_unreached()
        await events.keep(session, self.run_id, self.calls)
        if self.calls.unchanged:
            run.profile = {"not_modified": True}
            words = "The source has not changed since the last run: there was nothing to do."
            events.record(session, run.run_id, "not_modified", words)
        if learned := self.calls.learned:
            query = select(Checkpoint).filter_by(source=run.source)
            if checkpoint := await session.scalar(query):
                calls.keep_learned(checkpoint, self.spec.model_dump(), learned)


def way_of(spec: Spec, let_in: frozenset[str] | None, *, for_sqlite: bool) -> Way:
    keys = [spec.primary_key] if isinstance(spec.primary_key, str) else spec.primary_key or []
    table: Any = DataRecord.__table__
    return Way(
        source=spec.name,
        mapping=dict[str, str](spec.mapping.items()),
        primary_key=list(keys),
        cells=isinstance(spec, CsvSource),
        let_in=None if let_in is None else sorted(let_in),
        every=spec.schema_policy == "freeze",
        for_sqlite=for_sqlite,
        forms=bulk.forms_of(table),
    )


def normaliser_of(spec: Spec, let_in: frozenset[str] | None = None) -> Normaliser:
    return way_of(spec, let_in, for_sqlite=True).normaliser()


def result_of(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "records_processed": run.records_processed,
        "records_inserted": run.records_inserted,
        "records_updated": run.records_updated,
        "records_failed": run.records_failed,
    }
