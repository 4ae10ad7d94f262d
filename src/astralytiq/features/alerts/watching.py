"""Looks at the figures that rules name, and lets rules fire and resolve: each change once.

Every API process looks. A change is a comparison and a swap of the rule's state, in the transaction
that stores the alert, announces it and asks for its notifications: of two who look at one moment
one finds the state changed, and leaves it.
"""

import asyncio
import logging
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast
from astralytiq.core.db import utc_now
from astralytiq.core.metrics import Performance
from astralytiq.core.offers import FIGURES
from astralytiq.core.resources import Resources

from . import telling
from .models import Alert, AlertStatus, Rule, State
from .words import Change

log = logging.getLogger(__name__)

SECONDS = 2.0
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
Values = dict[str, float | None]


async def keep_looking(resources: Resources, performance: Performance) -> None:
    """Runs beside the API."""
    while True:
        await asyncio.sleep(SECONDS)
        try:
            await look(resources)
        except (SQLAlchemyError, OSError) as fault:  # The next look may find the database again.
            log.warning("alert rules were not looked at", extra={"error": type(fault).__name__})


async def look(resources: Resources) -> None:
    """Once over all rules. Where nothing changes nothing is written."""
    async with resources.database.reading() as session:
        rules = (await session.scalars(select(Rule).where(watched()))).all()
        values = await measured(session, rules)
        now = utc_now()
        changing = [rule.id for rule in rules if next_state(rule, values.get(rule.metric), now)]
        untold = (await session.scalars(untold_alerts(now))).all()
    if changing or untold:
        await resources.database.write(lambda session: settle(session, changing, values))


def watched() -> Any:
    return or_(Rule.enabled, Rule.state != State.ok)


async def measured(session: AsyncSession, rules: Iterable[Rule]) -> Values:
    names = {rule.metric for rule in rules if rule.enabled}
    return {name: await FIGURES[name].measure(session) for name in names & FIGURES.keys()}


def next_state(rule: Rule, value: float | None, now: datetime) -> State | None:
    """What the rule goes to; None if it stays so. What cannot be measured changes nothing."""
    if not rule.enabled:
        return None if rule.state is State.ok else State.ok
    if value is None:
        return None
    if not OPERATORS[rule.operator](value, rule.threshold):
        return None if rule.state is State.ok else State.ok
    if rule.state is State.firing:
        return None
    since = rule.since if rule.state is State.pending and rule.since else now
    if now - since >= timedelta(seconds=rule.for_seconds):
        return State.firing
    return None if rule.state is State.pending else State.pending


# Changes ----------------------------------------------------------------------------------------


@dataclass
class Changes:
    """What has to be told, by channel and group: those that change together are told together."""

    told: defaultdict[tuple[Change, str, str], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, change: Change, rule: Rule, alert: Alert) -> None:
        for channel in alert.told or ():
            self.told[change, channel, rule.group or f"rule {rule.id}"].append(alert.id)


async def settle(session: AsyncSession, changing: Iterable[int], values: Values) -> None:
    now, changes = utc_now(), Changes()
    for rule_id in sorted(changing):
        rule = await session.get(Rule, rule_id)
        if rule is None:
            continue
        value = values.get(rule.metric)
        state = next_state(rule, value, now)
        if state and await swapped(session, rule, state, now):
            await apply(session, rule, state, value, changes)
    await tell_those_left(session, now, changes)
    await telling.ask(session, changes.told)


async def swapped(session: AsyncSession, rule: Rule, state: State, now: datetime) -> bool:
    """Whether it was us who moved the rule on."""
    since = None if state is State.ok else rule.since or now
    statement = (
        update(Rule)
        .where(Rule.id == rule.id, Rule.state == rule.state)
        .values(state=state, since=since, updated_at=Rule.updated_at)
        .execution_options(synchronize_session=False)
    )
    done: CursorResult[Any] = await session.execute(statement)  # type: ignore[assignment]
    return done.rowcount == 1


async def apply(
    session: AsyncSession, rule: Rule, state: State, value: float | None, changes: Changes
) -> None:
    if state is State.firing and value is not None:
        alert = await fired(session, rule, value)
        changes.add(Change.firing, rule, alert)
        announce(session, alert)
    elif state is State.ok and rule.state is State.firing:
        resolved = await ended(session, rule, value)
        if resolved:
            changes.add(Change.resolved, rule, resolved)
            announce(session, resolved)


async def fired(session: AsyncSession, rule: Rule, value: float) -> Alert:
    alert = Alert(
        rule_id=rule.id,
        rule=rule.name,
        severity=rule.severity,
        metric=rule.metric,
        operator=rule.operator,
        threshold=rule.threshold,
        value=value,
        told=None if is_silenced(rule, utc_now()) else list(rule.channels),
    )
    session.add(alert)
    await session.flush()
    return alert


def is_silenced(rule: Rule, now: datetime) -> bool:
    return rule.silenced_until is not None and rule.silenced_until > now


async def ended(session: AsyncSession, rule: Rule, value: float | None) -> Alert | None:
    alert = await session.scalar(
        select(Alert).where(Alert.rule_id == rule.id, Alert.status == AlertStatus.firing)
    )
    if alert:
        alert.status, alert.resolved_at = AlertStatus.resolved, utc_now()
        alert.resolved_value = value
        await session.flush()
    return alert


def announce(session: AsyncSession, alert: Alert) -> None:
    message = {
        "alert_id": alert.id,
        "rule": alert.rule,
        "severity": alert.severity,
        "metric": alert.metric,
        "value": alert.value,
        "threshold": alert.threshold,
        "status": alert.status,
    }
    broadcast.publish(session, f"alert/{alert.rule_id}", message)


# After a silence --------------------------------------------------------------------------------


def untold_alerts(now: datetime) -> Any:
    """Those that still fire and were silenced when they began, but no longer are."""
    over = or_(Rule.silenced_until.is_(None), Rule.silenced_until <= now)
    return (
        select(Alert)
        .join(Rule, Rule.id == Alert.rule_id)
        .where(Alert.status == AlertStatus.firing, Alert.told.is_(None), over)
    )


async def tell_those_left(session: AsyncSession, now: datetime, changes: Changes) -> None:
    untold = untold_alerts(now).with_for_update(of=Alert)
    for alert in (await session.scalars(untold)).all():
        rule = await session.get_one(Rule, alert.rule_id)
        alert.told = list(rule.channels)
        changes.add(Change.firing, rule, alert)
    await session.flush()
