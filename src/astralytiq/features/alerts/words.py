"""What people and programs are told of alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from astralytiq.core.db import utc_now

from .models import Alert, AlertStatus, Rule


class Change(StrEnum):
    """What is told. Each is told once."""

    firing = "firing"
    resolved = "resolved"
    test = "test"


@dataclass(frozen=True)
class Message:
    """`subject` is one line; `body` is what a webhook gets."""

    subject: str
    text: str
    body: dict[str, Any]


def message(change: Change, alerts: Sequence[Alert], delivery: str, base_url: str) -> Message:
    """`delivery` is the same however often a message has to be tried."""
    worst = max(alerts, key=lambda alert: ORDER.index(alert.severity))
    names = ", ".join(dict.fromkeys(alert.rule for alert in alerts))
    lines = [line(alert) for alert in alerts]
    link = f"{base_url}/api/v1/alerts"
    body = {
        "delivery": delivery,
        "change": change,
        "sent_at": utc_now(),
        "alerts": [facts(alert) for alert in alerts],
        "url": link,
    }
    text = "\n".join([*lines, "", f"All alerts: {link}"])
    return Message(f"[{worst.severity}] {names}: {change}", text, body)


ORDER = ("info", "warning", "critical")


def line(alert: Alert) -> str:
    said = (
        f"{alert.rule}: {alert.metric} was {alert.value:g} ({alert.operator} {alert.threshold:g})"
    )
    said += f" at {shown(alert.created_at)}"
    if alert.status is AlertStatus.resolved and alert.resolved_at:
        ended = "" if alert.resolved_value is None else f" at {alert.resolved_value:g}"
        said += f"; resolved{ended} {shown(alert.resolved_at)}"
    return said


def shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def facts(alert: Alert) -> dict[str, Any]:
    names = (
        "id", "rule_id", "rule", "severity", "metric", "operator", "threshold", "value", "status",
        "resolved_at", "resolved_value",
    )  # fmt: skip
    return {name: getattr(alert, name) for name in names} | {"started_at": alert.created_at}


def rehearsed(rule: Rule, value: float | None) -> Alert:
    """What the rule would raise now; it is stored nowhere."""
    return Alert(
        id=0,
        rule_id=rule.id,
        rule=rule.name,
        severity=rule.severity,
        metric=rule.metric,
        operator=rule.operator,
        threshold=rule.threshold,
        value=rule.threshold if value is None else value,
        status=AlertStatus.firing,
        created_at=utc_now(),
    )
