"""Drills: faults that a run is asked to meet, each once, beneath whatever has to survive them.

What has happened stands in the run's events, and these are also the drill's memory: an attempt
that goes on after a crash leaves out what the one before it went through.
"""

import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Fault as Wrong
from astralytiq.core.errors import Forbidden, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.settings import Settings
from astralytiq.engines.etl import faults
from astralytiq.engines.etl.faults import Bent, Fault

from .batches import Batch, Position
from .calls import Calls
from .faulty_calls import FaultyTransport
from .models import Run, RunEvent, SourceKind
from .schemas import ApiSource, CsvSource, RssSource

INJECTED = "injected"
ARRANGED = frozenset({"duplicate", "reorder"})

Store = Callable[[AsyncSession], Awaitable[Run]]


def refuse_in_production(settings: Settings, asked: Sequence[str]) -> None:
    if asked and settings.production:
        raise Forbidden(
            "Faults are not injected in production: run the drill where ENVIRONMENT is "
            "development or test."
        )


def refuse_impossible(spec: CsvSource | ApiSource | RssSource, asked: Sequence[str]) -> None:
    served = spec.url is not None
    reasons = (faults.refusal(faults.parsed(text), spec.kind, served) for text in asked)
    found = list(enumerate(reasons))
    wrong = tuple(Wrong(("body", "inject", at), words) for at, words in found if words)
    if wrong:
        raise Invalid("; ".join(one.msg for one in wrong) + ".", faults=wrong)


async def take_up(work: Work, run_id: str, asked: Sequence[str], calls: Calls) -> "Drill":
    """What is left of the faults that were asked for."""
    refuse_in_production(work.resources.settings, asked)
    if not asked:
        return Drill([], calls)
    async with work.resources.database.reading() as session:
        run = await session.get_one(Run, run_id)
        query = select(RunEvent.details).filter_by(run_id=run_id, kind=INJECTED)
        happened = Counter(details["fault"] for details in await session.scalars(query))
    left = [faults.parsed(text) for text in (Counter(asked) - happened).elements()]
    drill = Drill(left, calls, work, run)
    calls.transport = partial(FaultyTransport, drill.due_at_page)
    return drill


class Drill:
    """The faults that have not happened yet. Without any it lets everything pass as it is."""

    def __init__(
        self, left: list[Fault], calls: Calls, work: Work | None = None, run: Run | None = None
    ) -> None:
        self._left = left
        self._calls = calls
        self._work = work
        self._run_id = run.run_id if run else ""
        self._stored = self._read = run.batches if run else 0
        self._records = run.records_processed if run else 0

    def due_at_page(self, kinds: Iterable[str]) -> Fault | None:
        """The first of these kinds that is to happen at the page in hand: now it has."""
        for fault in self._left:
            if fault.kind in kinds and fault.number == self._calls.page:
                return self._happened(fault)
        return None

    def _happened(self, fault: Fault) -> Fault:
        self._left.remove(fault)
        self._calls.note(INJECTED, **told(fault), always=True)
        return fault

    # Batches as they are read ---------------------------------------------------------------------

    def batches(
        self, found: AsyncGenerator[Batch], position: Position | None, kind: str
    ) -> AsyncGenerator[Batch]:
        """`found` with its faults. Files have no pages: each batch of them counts as one."""
        counted = kind == SourceKind.csv
        return self._disturbed(found, position or {}, counted) if self._left else found

    async def _disturbed(
        self, found: AsyncGenerator[Batch], before: Position, counted: bool
    ) -> AsyncGenerator[Batch]:
        held: Held | None = None
        async with aclosing(found):
            async for read in found:
                self._read += 1
                if counted:
                    self._calls.page = self._read
                batch = self._bent(read)
                if held and self._calls.page > held.last:
                    for one in held.let_go():
                        yield one
                    held = None
                if held is None and (fault := self.due_at_page(ARRANGED)):
                    held = Held(fault, before)
                before = batch.position
                if held:
                    held.add(self._calls.page, batch)
                else:
                    yield batch
        for one in held.let_go() if held else ():
            yield one

    def _bent(self, batch: Batch) -> Batch:
        first, size = self._records + 1, len(batch.payloads)
        self._records += size
        due = [one for one in self._left if one.kind == "corrupt"]
        places = {fault: fault.number - first for fault in due if 0 <= fault.number - first < size}
        if not places:
            return batch
        payloads = list(batch.payloads)
        for fault, at in places.items():
            if isinstance(payloads[at], dict):
                payloads[at] = Bent(f"was bent by a drill ({fault})", payloads[at])
                self._happened(fault)
        return replace(batch, payloads=payloads)

    # Batches as they are stored -------------------------------------------------------------------

    async def armed(self, store: Store) -> Store:
        """`store`, or one that dies within its transaction: that it will is stored before."""
        self._stored += 1
        due = Fault("crash", self._stored)
        if due not in self._left:
            return store
        self._left.remove(due)
        assert self._work
        await self._work.step(partial(remember, self._run_id, due))

        async def dying(session: AsyncSession) -> Run:
            run = await store(session)
            await session.flush()
            die()
            return run

        return dying

    def tell_unreached(self) -> None:
        for fault in self._left:
            words = f"Not injected: {fault}, for the run did not get to it."
            self._calls.note("not_injected", words, {"fault": str(fault)}, always=True)


@dataclass
class Held:
    """Pages that are kept back until they can be handed on as the fault wants them."""

    fault: Fault
    before: Position
    pages: dict[int, list[Batch]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.fault.number + (self.fault.kind == "reorder")

    def add(self, page: int, batch: Batch) -> None:
        self.pages.setdefault(page, []).append(batch)

    def let_go(self) -> list[Batch]:
        first, *others = self.pages.values()
        if self.fault.kind == "duplicate":
            return first + first
        swapped = others[0] + first if others else backwards(first)
        *early, late = swapped
        # Until all of them are stored, an attempt must go on before the first of them.
        end = (others[0] if others else first)[-1].position
        return [replace(one, position=self.before) for one in early] + [replace(late, position=end)]


def backwards(page: list[Batch]) -> list[Batch]:
    return [replace(one, payloads=one.payloads[::-1]) for one in reversed(page)]


def told(fault: Fault) -> dict[str, Any]:
    return {"message": f"Injected: {fault}.", "details": {"fault": str(fault)}}


async def remember(run_id: str, fault: Fault, session: AsyncSession) -> None:
    session.add(RunEvent(run_id=run_id, kind=INJECTED, **told(fault)))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
