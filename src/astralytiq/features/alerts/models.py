"""Tables of the alerts room."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Entity, Versioned


class Severity(StrEnum):
    info = "info"
    warning = "warning"
    critical = "critical"


class State(StrEnum):
    """Of a rule: quiet, over its threshold but not for long enough, or firing."""

    ok = "ok"
    pending = "pending"
    firing = "firing"


class AlertStatus(StrEnum):
    firing = "firing"
    resolved = "resolved"


class ChannelKind(StrEnum):
    webhook = "webhook"
    email = "email"
    chat = "chat"


class Channel(Versioned):
    """Where notifications go. Secrets stand in its config by reference only."""

    __tablename__ = "alert_channels"

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[ChannelKind]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    config: Mapped[dict[str, Any]]


class Rule(Versioned):
    """What is watched. `state` and `since` are the watcher's and no change of a version."""

    __tablename__ = "alert_rules"

    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    metric: Mapped[str]
    operator: Mapped[str]
    threshold: Mapped[float] = mapped_column(Float)
    for_seconds: Mapped[int]
    severity: Mapped[Severity]
    group: Mapped[str | None]
    channels: Mapped[list[Any]]  # names
    enabled: Mapped[bool]
    silenced_until: Mapped[datetime | None]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    state: Mapped[State] = mapped_column(default=State.ok)
    since: Mapped[datetime | None]  # when the threshold was first crossed


class Alert(Entity):
    """One time that a rule fired, from then until it resolved."""

    __tablename__ = "alerts"
    __table_args__ = (
        # Of one rule one at a time: the last guard against two watchers.
        Index(
            "uq_alerts_firing",
            "rule_id",
            unique=True,
            sqlite_where=text("status = 'firing'"),
            postgresql_where=text("status = 'firing'"),
        ),
        Index("ix_alerts_status", "status", "id"),
    )

    # The rule may be deleted; what it said when it fired stays.
    rule_id: Mapped[int | None] = mapped_column(
        ForeignKey("alert_rules.id", ondelete="SET NULL"), index=True
    )
    rule: Mapped[str]
    severity: Mapped[Severity]
    metric: Mapped[str]
    operator: Mapped[str]
    threshold: Mapped[float] = mapped_column(Float)
    value: Mapped[float] = mapped_column(Float)  # when it fired
    status: Mapped[AlertStatus] = mapped_column(default=AlertStatus.firing)
    resolved_at: Mapped[datetime | None]
    resolved_value: Mapped[float | None] = mapped_column(Float)
    # Whom it was told; None while the rule is silenced.
    told: Mapped[list[Any] | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    note: Mapped[str | None]
