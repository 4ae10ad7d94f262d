"""What the telemetry doors take in and give out."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from pydantic import Field

from astralytiq.core.schemas import Answer, Body
from astralytiq.engines.severity import SEVERITIES

MOST_EVENTS = 10_000
MOST_RECENT = 1_000
NAME_LENGTH = 200
DAY_MS = 86_400_000
ONE_LINE = r"^[^\x00-\x1f\x7f]+$"

Severity = Literal["none", "low", "medium", "high", "critical"]
# In words of its own: an id takes no blank at its ends and nothing that cannot be printed.
Label = Annotated[str, Meta(min_length=1, max_length=NAME_LENGTH)]


# msgspec reads a batch of these in a quarter of pydantic's time.
class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as a device sends it."""

    ear_value: Annotated[float, Meta(ge=0, le=1, description="eye aspect ratio")]
    is_drowsy: bool
    duration_ms: Annotated[float, Meta(ge=0, le=DAY_MS, description="how long it lasted")]
    timestamp: Annotated[
        datetime | None, Meta(description="when it began; without a zone UTC; default: now")
    ] = None
    device_id: Annotated[Label | None, Meta(description="default: unknown")] = None
    event_id: Annotated[
        Label | None,
        Meta(description="sent again with the same id it is stored once; default: a new one"),
    ] = None
    session_id: Annotated[Label | None, Meta(description="such as a drive")] = None


def schema_of_reading() -> dict[str, Any]:
    """For the OpenAPI document: what pydantic says of other bodies."""
    (schema,), components = msgspec.json.schema_components([Reading], ref_template="#/{name}")
    found: dict[str, Any] = components[schema["$ref"].removeprefix("#/")]
    found["properties"]["timestamp"]["anyOf"][0]["format"] = "date-time"
    return found


class EventLogged(Answer):
    status: Literal["logged"]
    event_id: str
    timestamp: datetime = Field(description="when the event was")
    severity: Severity


class BatchLogged(Answer):
    status: Literal["success"]
    events_logged: int = Field(description="with those that were stored before")
    timestamp: datetime


class Statistics(Answer):
    total_events: int
    drowsy_events: int
    average_ear: float = Field(description="0 where there is no event")
    average_duration_ms: float = Field(description="0 where there is no event")
    drowsiness_rate: float = Field(description="drowsy events in percent")
    severity_distribution: dict[Severity, int]


class LastHour(Answer):
    period: Literal["last_hour"]
    events_count: int
    drowsy_count: int
    average_ear: float
    alert_rate: float = Field(description="drowsy events in percent")


class HourOfEventsRead(Answer):
    hour: datetime = Field(description="its beginning")
    events_count: int
    drowsy_count: int
    average_ear: float
    alert_rate: float


class TelemetrySummary(Answer):
    """Of all devices."""

    overall: Statistics
    last_hour: LastHour = Field(description="to the minute, up to now")
    hourly: list[HourOfEventsRead] = Field(description="the last 24, this one is the last of them")
    status: Literal["idle", "normal", "warning", "critical"] = Field(
        description="of the last hour: over 25 % drowsy is a warning, over 50 % critical"
    )
    timestamp: datetime


class EventRead(Answer):
    event_id: str
    device_id: str
    session_id: str | None
    timestamp: datetime
    received_at: datetime
    ear_value: float
    is_drowsy: bool
    duration_ms: float
    severity: Severity


class RecentEvents(Answer):
    events: list[EventRead] = Field(description="the newest first, as they arrived")
    count: int
    timestamp: datetime


class CacheCleared(Answer):
    status: Literal["cleared"]
    events_cleared: int
    timestamp: datetime


class PerclosMinute(Answer):
    minute: datetime = Field(description="its beginning")
    events: int
    covered_ms: float = Field(description="of what the events of this minute lasted")
    closed_ms: float
    perclos: float | None = Field(
        description="share of the time with closed eyes; null: less than 45 s were seen"
    )


class DeviceRead(Answer):
    id: int
    device_id: str = Field(description="what it calls itself")
    name: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    events: int = Field(description="that are stored")


OneLine = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=ONE_LINE)]


class DeviceChange(Body):
    name: OneLine | None = Field(description="null takes the name away")


class DeviceDeleted(Answer):
    job_id: str
    status: str
    device_id: str


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def moment_of(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def severity_named(place: int) -> str:
    return SEVERITIES[place]
