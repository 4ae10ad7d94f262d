"""Tables of the telemetry room.

Whole numbers throughout: times and durations in microseconds, eye aspect ratios in millionths. Sums
of them are exact in whatever order they are added and taken away, so that the roll-ups equal a
recount of the events to the last digit.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from astralytiq.core.db import Base, BigId, utc_now

ALL = 0  # the `device` of cells that count the events of all devices; no device has this number


class Device(Base):
    """What sends events: known from the first of them on."""

    __tablename__ = "telemetry_devices"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - a number is never used twice

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    device_id: Mapped[str] = mapped_column(unique=True)  # what it calls itself
    name: Mapped[str | None]  # what people call it
    first_seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_seen_at: Mapped[datetime] = mapped_column(default=utc_now)
    events: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))
    # Raised by people's changes alone: neither an event nor a sight of the device is one.
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    # Its events are being deleted: until they are gone it keeps its number, but not its id.
    deleted_at: Mapped[datetime | None]


class Event(Base):
    """One reading of a driver's eyes.

    Its device has no foreign key: the check costs PostgreSQL more than the insert, and the row of
    the device is locked in the same transaction.
    """

    __tablename__ = "telemetry_events"
    __table_args__ = (
        UniqueConstraint("device", "event_id"),
        Index("ix_telemetry_events_at", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)  # in the order of arrival
    device: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[str]
    at: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger)
    ear: Mapped[int]
    drowsy: Mapped[bool]
    duration: Mapped[int] = mapped_column(BigInteger)
    severity: Mapped[int] = mapped_column(SmallInteger)  # a place in engines.severity.SEVERITIES
    session_id: Mapped[str | None]


class Cell:
    """Sums over the events of one device, or of all, in one span of time that begins at `start`."""

    device: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    events: Mapped[int] = mapped_column(BigInteger)
    drowsy: Mapped[int] = mapped_column(BigInteger)
    ear: Mapped[int] = mapped_column(BigInteger)
    duration: Mapped[int] = mapped_column(BigInteger)
    closed: Mapped[int] = mapped_column(BigInteger)  # the duration of events with closed eyes
    low: Mapped[int] = mapped_column(BigInteger)
    medium: Mapped[int] = mapped_column(BigInteger)
    high: Mapped[int] = mapped_column(BigInteger)
    critical: Mapped[int] = mapped_column(BigInteger)


class Minute(Cell, Base):
    __tablename__ = "telemetry_minutes"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own declaration


class Hour(Cell, Base):
    __tablename__ = "telemetry_hours"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own declaration


class Mark(Base):
    """A number of an event up to which something was done."""

    __tablename__ = "telemetry_marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
