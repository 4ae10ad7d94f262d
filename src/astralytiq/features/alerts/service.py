"""Rules for rules, channels and alerts: who makes and changes them, what is refused."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import utc_now
from astralytiq.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from astralytiq.core.offers import FIGURES
from astralytiq.core.security import Actor

from .models import Alert, AlertStatus, Channel, Rule, Severity
from .schemas import RuleChange, RuleCreate

# Rules ------------------------------------------------------------------------------------------


async def list_rules(session: AsyncSession, limit: int, offset: int) -> tuple[Sequence[Rule], int]:
    total = await session.scalar(select(func.count(Rule.id))) or 0
    return (
        await session.scalars(select(Rule).order_by(Rule.name).limit(limit).offset(offset))
    ).all(), total


async def get_rule(session: AsyncSession, rule_id: int) -> Rule:
    if found := await session.get(Rule, rule_id):
        return found
    raise NotFound(f"There is no alert rule {rule_id}.")


async def create_rule(session: AsyncSession, actor: Actor, body: RuleCreate) -> Rule:
    given = body.model_dump()
    await refuse_faulty(session, given)
    await refuse_taken(session, Rule, body.name)
    rule = Rule(owner_id=actor.account_id, **given)
    session.add(rule)
    await session.flush()
    audit.record(session, actor, "alert_rule.created", f"alert_rule/{rule.id}", metric=rule.metric)
    return rule


async def change_rule(session: AsyncSession, actor: Actor, rule: Rule, body: RuleChange) -> None:
    refuse_foreign(actor, rule.owner_id, f"The rule {rule.name!r}")
    given = body.model_dump(exclude_unset=True)
    fresh = {name: value for name, value in given.items() if getattr(rule, name) != value}
    await refuse_faulty(session, fresh)
    if "name" in fresh:
        await refuse_taken(session, Rule, fresh["name"])
    for name, value in fresh.items():
        setattr(rule, name, value)
    if fresh:
        resource = f"alert_rule/{rule.id}"
        audit.record(session, actor, "alert_rule.changed", resource, fields=sorted(fresh))
        await session.flush()


async def refuse_faulty(session: AsyncSession, given: dict[str, Any]) -> None:
    faults = []
    metric = given.get("metric")
    if metric is not None and metric not in FIGURES:
        words = f"no metric {metric!r}; there are {', '.join(sorted(FIGURES))}"
        faults.append(Fault(("body", "metric"), words))
    asked = set(given.get("channels", ()))
    known = set(await session.scalars(select(Channel.name).where(Channel.name.in_(asked))))
    faults += [Fault(("body", "channels"), f"no channel {n!r}") for n in sorted(asked - known)]
    if faults:
        raise Invalid(" ".join(fault.msg for fault in faults), faults=tuple(faults))


async def refuse_taken(session: AsyncSession, table: type[Rule | Channel], name: str) -> None:
    if await session.scalar(select(table.id).where(table.name == name)):
        raise Conflict(f"The name {name!r} is taken: choose another.")


def refuse_foreign(actor: Actor, owner_id: int, what: str) -> None:
    if not actor.is_admin and owner_id != actor.id:
        raise Forbidden(f"{what} is somebody else's: ask its owner or an admin.")


async def silence(session: AsyncSession, actor: Actor, rule: Rule, minutes: int | None) -> None:
    """Nobody is told for so long; None ends it. Alerts are kept all the same."""
    rule.silenced_until = utc_now() + timedelta(minutes=minutes) if minutes else None
    resource = f"alert_rule/{rule.id}"
    audit.record(session, actor, "alert_rule.silenced", resource, minutes=minutes)
    await session.flush()


async def delete_rule(session: AsyncSession, actor: Actor, rule: Rule) -> None:
    """What it fired stays in the history; what still fires is over."""
    refuse_foreign(actor, rule.owner_id, f"The rule {rule.name!r}")
    firing = await session.scalar(
        select(Alert).where(Alert.rule_id == rule.id, Alert.status == AlertStatus.firing)
    )
    if firing:
        firing.status, firing.resolved_at = AlertStatus.resolved, utc_now()
        firing.note = firing.note or "Its rule was deleted."
        await session.flush()
    await session.delete(rule)
    audit.record(session, actor, "alert_rule.deleted", f"alert_rule/{rule.id}")
    await session.flush()


# Alerts -----------------------------------------------------------------------------------------


async def list_alerts(
    session: AsyncSession,
    status: AlertStatus | None,
    severity: Severity | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[Alert], int]:
    matching = select(Alert)
    matching = matching if status is None else matching.where(Alert.status == status)
    matching = matching if severity is None else matching.where(Alert.severity == severity)
    total = await session.scalar(select(func.count()).select_from(matching.subquery())) or 0
    page = matching.order_by(Alert.id.desc()).limit(limit).offset(offset)
    return (await session.scalars(page)).all(), total


async def get_alert(session: AsyncSession, alert_id: int) -> Alert:
    if found := await session.get(Alert, alert_id):
        return found
    raise NotFound(f"There is no alert {alert_id}.")


async def acknowledge(session: AsyncSession, actor: Actor, alert: Alert, note: str | None) -> Alert:
    """Somebody looks after it; the first who says so stays."""
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by = utc_now(), actor.account_id
        audit.record(session, actor, "alert.acknowledged", f"alert/{alert.id}", rule=alert.rule)
    alert.note = note if note is not None else alert.note
    await session.flush()
    return alert
