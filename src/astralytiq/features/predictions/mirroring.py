"""Lets a challenger score what its champion has answered: after the answer, and never in its way.

What was answered is put into a bounded queue; when it is full, more is dropped and counted. One
thread of this process scores, and results are stored a group at a time. Which shadows run is read
at the first request and again after each change, here or in another process.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from weakref import WeakSet

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast, bulk
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.db import after_commit
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.features.registry import serving
from astralytiq.features.registry.models import Model, ModelVersion
from astralytiq.features.registry.serving import Served

from . import counting, tallies
from .loaded import model_of
from .models import Outcome, Shadow, ShadowResult, ShadowTally
from .recording import Recorded
from .tallies import Tally

log = logging.getLogger(__name__)

TOPIC = "shadows/"
TABLE = cast(Table, ShadowResult.__table__)
PAUSE_SECONDS = 0.05  # so that groups are worth their transaction
MOST_AT_ONCE = 500
MOST_WAITING = 2_000
MOST_ROWS_WAITING = 20_000
SHARES = 1 << 32

Key = tuple[int, int]  # a shadow, and the champion beside it


@dataclass(frozen=True)
class Running:
    """A shadow as a process remembers it."""

    shadow_id: int
    version_id: int
    number: int
    share: float

    def takes(self, answered: Recorded) -> bool:
        """The same requests in every process: an id ends with random digits."""
        if answered.model_version_id == self.version_id:
            return False  # It has been promoted.
        return self.share >= 1 or int(answered.id[-8:], 16) < self.share * SHARES


@dataclass(frozen=True)
class Scored:
    """What the challenger said; None if it could not."""

    answered: Recorded
    labels: list[Any] | None
    microseconds: int

    @property
    def key_part(self) -> int:
        return self.answered.model_version_id


class Mirror:
    """What waits to be scored in this process."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._waiting: deque[Recorded] = deque()
        self._rows = 0
        self._dropped: Counter[tuple[str, int]] = Counter()
        self._running: dict[str, Running] | None = None
        self._forgotten = 0
        self._working: asyncio.Task[None] | None = None
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        everywhere.add(self)

    def offer(self, answered: Recorded) -> None:
        """Called after an answer was computed and kept: takes no time, raises nothing."""
        if self._running is not None:
            shadow = self._running.get(answered.model)
            if shadow is None or not shadow.takes(answered):
                return
        rows = self._rows + answered.rows
        if len(self._waiting) >= MOST_WAITING or rows > MOST_ROWS_WAITING:
            self._dropped[answered.model, answered.model_version_id] += 1
            return
        self._waiting.append(answered)
        self._rows = rows
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    def forget(self) -> None:
        self._forgotten += 1
        self._running = None

    async def close(self) -> None:
        self._closing = True
        if self._working:
            await self._working
        self._thread.shutdown()

    async def idle(self) -> None:
        """Until nothing waits any more."""
        while self._working:
            await self._working

    # In the background --------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._waiting or self._dropped:
                if not self._closing:
                    await asyncio.sleep(PAUSE_SECONDS)
                await self._score_some()
        finally:
            self._working = None

    async def _score_some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
        self._rows -= sum(one.rows for one in some)
        dropped, self._dropped = self._dropped, Counter()
        try:
            running = await self._known()
            for model, shadow in running.items():
                mine = [one for one in some if one.model == model and shadow.takes(one)]
                lost = {version: n for (name, version), n in dropped.items() if name == model}
                if mine or lost:
                    await self._score(model, shadow, mine, lost)
        except Exception as fault:  # Nobody waits for it, and the next group may succeed.
            log.error("a group was not scored in the shadow", exc_info=fault)

    async def _known(self) -> dict[str, Running]:
        if self._running is not None:
            return self._running
        mark = self._forgotten
        async with self._resources.database.reading() as session:
            found = await running_everywhere(session)
        if mark == self._forgotten:  # Nothing changed while we looked.
            self._running = found
        return found

    async def _score(
        self, model: str, shadow: Running, some: Sequence[Recorded], dropped: dict[int, int]
    ) -> None:
        try:
            version = await serving.serving(self._resources).version(model, shadow.number)
            loaded = await model_of(self._resources, SYSTEM, version) if some else None
            loop = asyncio.get_running_loop()
            work = partial(scored, version, loaded, some)
            found = await loop.run_in_executor(self._thread, work)
        except AppError as fault:
            log.warning("a challenger cannot score", extra={"model": model, "error": str(fault)})
            found = [Scored(one, None, 0) for one in some]
        stored = await self._resources.database.write(
            lambda session: store(session, shadow, found, dropped)
        )
        if not stored:
            self.forget()


everywhere: WeakSet[Mirror] = WeakSet()


def mirror(resources: Resources) -> Mirror:
    return resources.own("predictions.mirror", Mirror)


def changed(session: AsyncSession, model: str) -> None:
    """After the commit every process looks again which shadows run."""
    after_commit(session, forget)
    broadcast.publish(session, f"{TOPIC}{model}", {"model": model})


def forget() -> None:
    for one in list(everywhere):
        one.forget()


async def follow_shadows(live: Broadcast) -> None:
    """Runs beside the API: hears of changes in other processes, and of promotions."""
    async with live.listen(TOPIC, serving.TOPIC) as queue:
        while True:
            await queue.get()
            forget()


async def running_everywhere(session: AsyncSession) -> dict[str, Running]:
    query = (
        select(Model.name, Shadow.id, ModelVersion.id, ModelVersion.number, Shadow.share)
        .join(Model, Model.id == Shadow.model_id)
        .join(ModelVersion, ModelVersion.id == Shadow.model_version_id)
        .where(Shadow.ended_at.is_(None), ~promoted())
    )
    return {row[0]: Running(*row[1:]) for row in (await session.execute(query)).all()}


def promoted() -> Any:
    """A challenger that has become the champion since is none any more."""
    return ModelVersion.deployed_at.is_not(None) & (ModelVersion.deployed_at > Shadow.created_at)


# Scoring ----------------------------------------------------------------------------------------


def scored(version: Served, model: Any, some: Sequence[Recorded]) -> list[Scored]:
    """Blocks: runs in the mirror's thread. Each request alone, so that it can be timed."""
    names = [feature["name"] for feature in version.features]
    return [one_scored(version, model, names, answered) for answered in some]


def one_scored(version: Served, model: Any, names: list[str], answered: Recorded) -> Scored:
    columns, rows = answered.inputs["columns"], answered.inputs["data"]
    began = time.perf_counter()
    try:
        if columns != names:
            places = [columns.index(name) for name in names]
            rows = [[row[place] for place in places] for row in rows]
        labels = list(adapter_of(version.algorithm).predict(model, rows).labels)
    except Exception as fault:  # Whatever the challenger stumbles over, the champion has answered.
        log.warning("a challenger failed", extra={"error": type(fault).__name__})
        return Scored(answered, None, 0)
    return Scored(answered, labels, round((time.perf_counter() - began) * 1e6))


# Storing ----------------------------------------------------------------------------------------


async def store(
    session: AsyncSession, shadow: Running, found: Sequence[Scored], dropped: dict[int, int]
) -> bool:
    """Whether the shadow still ran. Outcomes that came before are judged now, others as they come.

    The row of a prediction that is told an outcome is locked, and a result refers to it: so of a
    result and an outcome at once, one sees the other.
    """
    still = select(Shadow.id).join(ModelVersion, ModelVersion.id == Shadow.model_version_id).where(
        Shadow.id == shadow.shadow_id, Shadow.ended_at.is_(None), ~promoted()
    )  # fmt: skip
    if await session.scalar(still.with_for_update(of=Shadow)) is None:
        return False
    good = [one for one in found if one.labels is not None]
    columns: dict[str, list[Any]] = {
        "prediction_id": [one.answered.id for one in good],
        "shadow_id": [shadow.shadow_id] * len(good),
        "predictions": [one.labels for one in good],
        "latency_us": [one.microseconds for one in good],
    }
    await bulk.append(session, bulk.rows_of(TABLE, columns, for_sqlite=bulk.is_sqlite(session)))
    gathered: defaultdict[Key, list[Tally]] = defaultdict(list)
    for one in found:
        gathered[shadow.shadow_id, one.key_part].append(tallied(one))
    for champion_id, count in dropped.items():
        gathered[shadow.shadow_id, champion_id].append({"dropped": count})
    for one, tally in await judged(session, good):
        gathered[shadow.shadow_id, one.key_part].append(tally)
    await counting.add(
        session, ShadowTally, {key: tallies.total(some) for key, some in gathered.items()}
    )
    return True


def tallied(one: Scored) -> Tally:
    if one.labels is None:
        return {"failed": 1}
    outputs = one.answered.outputs
    return {
        "requests": 1,
        **tallies.compared(outputs["predictions"], one.labels, numbers=not outputs["classes"]),
        "champion_latency": tallies.latency([round(one.answered.latency_ms * 1000)]),
        "challenger_latency": tallies.latency([one.microseconds]),
    }


async def judged(session: AsyncSession, good: Sequence[Scored]) -> list[tuple[Scored, Tally]]:
    by_id = {one.answered.id: one for one in good}
    query = select(Outcome).where(Outcome.prediction_id.in_(by_id))
    found = []
    for outcome in await session.scalars(query):
        one = by_id[outcome.prediction_id]
        numbers = not one.answered.outputs["classes"]
        says = {"champion": outcome.predicted, "challenger": (one.labels or [])[outcome.row]}
        tally = {
            name: tallies.judged(outcome.outcome, said, numbers=numbers)
            for name, said in says.items()
        }
        found.append((one, tally))
    return found
