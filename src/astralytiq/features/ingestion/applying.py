"""A list of sources as a whole: what would change, and the change, in one transaction."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import AppError, Fault, Forbidden, Invalid
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from . import deleting, secrets, service
from .models import Source
from .schemas import CsvSource
from .service import Spec

Action = Literal["create", "change", "unchanged", "delete", "left"]
Change = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What becomes of one source; `left` is on the server, not in the list, and stays."""

    name: str
    action: Action
    fields: list[Change] = field(default_factory=list)
    spec: Spec | None = None
    source: Source | None = None


@dataclass(frozen=True)
class Plan:
    sources: list[Step]

    @property
    def version(self) -> int:
        """Another number for another plan: what was shown is what is applied, or nothing is."""
        steps = [(step.name, step.action, step.fields) for step in self.sources]
        text = json.dumps(steps, sort_keys=True)
        return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


async def plan(
    session: AsyncSession, settings: Settings, actor: Actor, specs: Sequence[Spec], prune: bool
) -> Plan:
    """All that would change; `Invalid` names everything that is wrong with the list."""
    known = {source.name: source for source in await session.scalars(select(Source))}
    if faults := [*repeated(specs), *unsafe(settings, specs), *of_another_kind(specs, known)]:
        raise refused(faults)
    if faults := await unusable(session, actor, specs, known):
        raise refused(faults)
    steps = [step_of(spec, known.get(spec.name)) for spec in specs]
    listed = {spec.name for spec in specs}
    for name in sorted(known.keys() - listed):
        removed = prune and service.may_change(actor, known[name])
        steps.append(Step(name, "delete" if removed else "left", source=known[name]))
    refuse_foreign(actor, steps)
    return Plan(steps)


async def apply(session: AsyncSession, actor: Actor, made: Plan) -> None:
    for step in made.sources:
        if step.action == "create" and step.spec:
            await service.create_source(session, actor, step.spec)
        elif step.action == "change" and step.spec and step.source:
            fields = {change["field"] for change in step.fields}
            await service.replace_source(session, actor, step.source, step.spec, fields)
        elif step.action == "delete" and step.source:
            await deleting.delete_source(session, actor, step.source, with_records=False)


def step_of(spec: Spec, source: Source | None) -> Step:
    if source is None:
        return Step(spec.name, "create", spec=spec)
    before, after = (one.model_dump(mode="json") for one in (service.spec_of(source), spec))
    fields = [
        {"field": name, "before": before[name], "after": after[name]}
        for name in after
        if before[name] != after[name]
    ]
    return Step(spec.name, "change" if fields else "unchanged", fields, spec, source)


def repeated(specs: Sequence[Spec]) -> list[Fault]:
    names = [spec.name for spec in specs]
    return [
        place(at, "name", f"the list has {name!r} already")
        for at, name in enumerate(names)
        if name in names[:at]
    ]


def unsafe(settings: Settings, specs: Sequence[Spec]) -> list[Fault]:
    faults = []
    for at, spec in enumerate(specs):
        try:
            service.refuse_unsafe(settings, spec)
        except AppError as refusal:
            where = "path" if isinstance(spec, CsvSource) and spec.path else "auth"
            faults.append(place(at, where, refusal.detail))
    return faults


async def unusable(
    session: AsyncSession, actor: Actor, specs: Sequence[Spec], known: Mapping[str, Source]
) -> list[Fault]:
    """Sources that refer to secrets which are not there, or which `actor` may not send."""
    faults = []
    for at, spec in enumerate(specs):
        before = service.spec_of(known[spec.name]) if spec.name in known else None
        try:
            await secrets.refuse_unusable(session, actor, spec, before)
        except AppError as refusal:
            faults.append(place(at, "auth", refusal.detail))
    return faults


def refused(faults: Sequence[Fault]) -> Invalid:
    words = "; ".join(f"{'.'.join(map(str, f.loc))}: {f.msg}" for f in faults[:5])
    return Invalid(f"Correct and send again: {words}", faults=tuple(faults))


def of_another_kind(specs: Sequence[Spec], known: Mapping[str, Source]) -> list[Fault]:
    return [
        place(at, "kind", f"{spec.name!r} is of kind {known[spec.name].kind.value} and keeps it")
        for at, spec in enumerate(specs)
        if spec.name in known and known[spec.name].kind != spec.kind
    ]


def place(at: int, name: str, words: str) -> Fault:
    return Fault(("body", "sources", at, name), words)


def refuse_foreign(actor: Actor, steps: Sequence[Step]) -> None:
    foreign = [
        step.name
        for step in steps
        if step.action == "change" and step.source and not service.may_change(actor, step.source)
    ]
    if foreign:
        raise Forbidden(
            f"Somebody else's, and changed by this list: {', '.join(foreign)}. Take them out of "
            "it, or ask their owner or an admin."
        )
