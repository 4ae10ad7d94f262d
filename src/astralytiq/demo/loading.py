"""Fills a home with the demo's content: once, and from where an earlier start was cut short.

It runs beside the server, through the same services and jobs as a user's own work.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.audit import AuditEntry
from astralytiq.core.errors import AppError, NotFound
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.features.accounts import service as accounts

from . import freezing, projects, showing, training
from .dashboards import DASHBOARDS
from .desk import Desk, worded
from .models import MODELS
from .tables import TABLES

log = logging.getLogger(__name__)

OWNER = "data.scientist@astralytiq.com"
LOADED = "demo.loaded"
GUIDE = "docs/guides/demo.md"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    kind: str
    name: str
    work: Callable[[], Awaitable[str]]
    needs: tuple[str, ...] = ()  # data sets and models
    after: tuple[str, ...] = ()  # whose turn is before this one's, whatever becomes of them

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}".strip()


@dataclass
class Progress:
    """What has come of the steps, told as they end."""

    tell: Tell
    total: int
    began: float = field(default_factory=time.monotonic)
    ended: list[Step] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # by label, with the reason

    def end(self, step: Step, words: str) -> None:
        self.ended.append(step)
        place = f"{len(self.ended) + len(self.failed):2}/{self.total}"
        self.tell(f"demo {place}  {step.label}: {words}")

    def fail(self, step: Step, reason: str) -> None:
        self.failed[step.label] = reason
        log.error("a step of the demo failed", extra={"step": step.label, "reason": reason})

    def lost(self, name: str) -> str:
        """The label of what failed under this name; empty if nothing did."""
        labels = (f"data set {name}", f"model {name}")
        return next((label for label in labels if label in self.failed), "")

    def count(self, kind: str) -> int:
        return sum(step.kind == kind for step in self.ended)

    def summary(self) -> str:
        made = (
            f"{self.count('data set')} data sets, {self.count('model')} models and "
            f"{self.count('dashboard')} dashboards"
        )
        words = f"The demo is loaded: {made} in {time.monotonic() - self.began:.1f} s. See {GUIDE}."
        if not self.failed:
            return words
        what = "\n".join(f"  {label}: {reason}" for label, reason in self.failed.items())
        return f"The demo is not complete: {made}; the next start tries again. Missing:\n{what}"


def say_nothing(_: str) -> None: ...


async def load(resources: Resources, tell: Tell = say_nothing) -> None:
    """Fill the home unless it was filled before. A fault is told and logged: the server goes on."""
    try:
        if await is_loaded(resources):
            return
        desk = Desk(resources, await owner(resources))
    except AppError as error:
        log.error("the demo content cannot be loaded", extra={"reason": error.detail})
        tell(f"The demo content cannot be loaded: {error.detail}")
        return
    progress = await fill(desk, tell)
    if not progress.failed:
        await desk.write(lambda session: note(session, desk.actor, progress))
    tell(progress.summary())


async def is_loaded(resources: Resources) -> bool:
    """Once: what somebody deletes afterwards does not come back."""
    async with resources.database.reading() as session:
        query = select(AuditEntry.id).where(AuditEntry.action == LOADED).limit(1)
        return await session.scalar(query) is not None


async def note(session: AsyncSession, actor: Actor, progress: Progress) -> None:
    datasets, models = progress.count("data set"), progress.count("model")
    boards = progress.count("dashboard")
    audit.record(
        session, actor, LOADED, "demo", datasets=datasets, models=models, dashboards=boards
    )


async def owner(resources: Resources) -> Actor:
    async with resources.database.reading() as session:
        found = await accounts.find(session, OWNER)
    if found is None or not found.is_active:
        raise NotFound(f"The demo account {OWNER} is gone or closed: nothing is loaded for it.")
    return accounts.actor_for(found, "demo")


def steps(desk: Desk) -> list[Step]:
    """What the README begins with has the workers to itself. Uploads need none: they are converted
    while the first model is trained. Then all the rest at the same time; rules for alerts when
    there is something to measure."""
    table, model = TABLES[0].name, MODELS[0].name
    tables = [Step("data set", t.name, partial(freezing.make, desk, t), t.needs) for t in TABLES]
    models = [Step("model", m.name, partial(training.make, desk, m), m.needs) for m in MODELS]
    boards = [
        Step("dashboard", d.name, partial(showing.make, desk, d), d.needs) for d in DASHBOARDS
    ]
    others = [
        Step("projects", "", partial(projects.make, desk)),
        Step("telemetry", "", partial(showing.send_events, desk)),
    ]
    first, uploads = {table, model}, {t.name for t in TABLES if t.file}
    rest = [
        step if step.name in first
        else replace(step, after=(table if step.name in uploads else model,))
        for step in (*tables, *models, *others, *boards)
    ]  # fmt: skip
    made = tuple(step.name for step in (*tables, *models))
    return [*rest, Step("alerts", "", partial(showing.watch, desk), after=made)]


async def fill(desk: Desk, tell: Tell) -> Progress:
    todo = steps(desk)
    progress = Progress(tell, len(todo))
    done = {step.name: asyncio.Event() for step in todo}
    async with asyncio.TaskGroup() as group:
        for step in todo:
            group.create_task(take(step, progress, done))
    return progress


async def take(step: Step, progress: Progress, done: dict[str, asyncio.Event]) -> None:
    """One step, in its turn, once those it needs have ended; whatever goes wrong, the others go
    on."""
    try:
        for earlier in step.after:
            await done[earlier].wait()
        for needed in step.needs:
            await done[needed].wait()
            if label := progress.lost(needed):
                progress.fail(step, f"it needs the {label}")
                return
        progress.end(step, await step.work())
    except Exception as fault:
        if not isinstance(fault, AppError):
            log.exception("a step of the demo stumbled", extra={"step": step.label})
        progress.fail(step, worded(fault))
    finally:
        done[step.name].set()
