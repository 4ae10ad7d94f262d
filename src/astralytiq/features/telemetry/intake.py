"""From what a device sends to rows: decoded, checked, graded. All faults of a batch are told."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
from uuid6 import uuid7

from astralytiq.core.errors import Fault, Invalid
from astralytiq.core.settings import Settings
from astralytiq.engines.severity import Rule

from .schemas import MOST_EVENTS, Reading, microseconds_of

UNKNOWN = "unknown"  # the device of events that name none
MOST_FAULTS = 100
AHEAD = timedelta(days=1)  # A clock may be wrong, or tell a local time without saying so.
EAR_UNITS, DURATION_UNITS = 1_000_000, 1_000
LABELS = ("device_id", "event_id", "session_id")
UNPRINTABLE = "no blanks at its ends and nothing that cannot be printed"

# device_id, event_id, at, ear, drowsy, duration, severity, session_id
Row = tuple[str, str, int, int, bool, int, int, str | None]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
FIELDS = {field.name: field for field in msgspec.structs.fields(Reading)}


@dataclass(frozen=True)
class Limits:
    """By what events are graded, and between which times they may lie (in microseconds)."""

    rule: Rule
    oldest: int
    newest: int
    now: int

    @classmethod
    def at(cls, now: datetime, settings: Settings) -> Self:
        return cls(
            rule_of(settings),
            microseconds_of(oldest_kept(now, settings)),
            microseconds_of(now + AHEAD),
            microseconds_of(now),
        )


def rule_of(settings: Settings) -> Rule:
    return Rule(
        settings.telemetry_open_ear,
        settings.telemetry_medium_seconds * 1000,
        settings.telemetry_high_seconds * 1000,
        settings.telemetry_critical_seconds * 1000,
    )


def oldest_kept(now: datetime, settings: Settings) -> datetime:
    """Whole hours: what is older is deleted, and refused."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour - timedelta(days=settings.telemetry_retention_days)


# Decoding ---------------------------------------------------------------------------------------

one_reading = msgspec.json.Decoder(Reading)


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[Reading]


one_batch = msgspec.json.Decoder(Batch)
parts_of_batch = msgspec.json.Decoder(dict[str, msgspec.Raw])
raw_events = msgspec.json.Decoder(list[msgspec.Raw])


def decoded_event(body: bytes) -> Reading:
    try:
        return one_reading.decode(body)
    except UNREADABLE:
        faults = list(faults_in(body, ("body",)))
    raise refusal(faults)


def decoded_batch(body: bytes) -> list[Reading]:
    """Of `{"events": [...]}`."""
    try:
        found = one_batch.decode(body).events
    except UNREADABLE:
        found = None
    if found is None:
        raise refusal(list(faults_of_batch(body)))
    return counted(found)


def decoded_lines(body: bytes) -> list[Reading]:
    """Of NDJSON: an event a line; empty lines are passed over."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    counted(lines)
    try:
        return [one_reading.decode(line) for line in lines]
    except UNREADABLE:
        faults = list(first_faults(lines))
    raise refusal(faults)


def counted(events: list[Any]) -> list[Any]:
    if 1 <= len(events) <= MOST_EVENTS:
        return events
    kind = "too_long" if events else "too_short"
    words = (
        f"A batch holds 1 to {MOST_EVENTS:,} events, this one {len(events):,}: send it in parts."
    )
    raise Invalid(words, faults=(Fault(("body", "events"), words, kind),))


# Faults -----------------------------------------------------------------------------------------


def refusal(faults: Sequence[Fault]) -> Invalid:
    named = "; ".join(f"{'.'.join(map(str, fault.loc))}: {fault.msg}" for fault in faults[:5])
    return Invalid(f"Correct and send again, nothing was stored: {named}", faults=tuple(faults))


def faults_of_batch(body: bytes) -> Iterator[Fault]:
    try:
        parts = parts_of_batch.decode(body)
    except UNREADABLE as error:
        yield Fault(("body",), f'an object {{"events": […]}}: {words_of(error)}', "json_invalid")
        return
    for name in parts.keys() - {"events"}:
        yield Fault(("body", name), "is unknown; known is events", "extra_forbidden")
    if "events" not in parts:
        yield Fault(("body", "events"), "is required", "missing")
        return
    try:
        events = raw_events.decode(parts["events"])
    except UNREADABLE as error:
        yield Fault(("body", "events"), words_of(error), "value_error")
        return
    yield from first_faults(counted(events))


def first_faults(events: Iterable[Any]) -> Iterator[Fault]:
    """So many that they can be read."""
    told = 0
    for at, event in enumerate(events):
        for fault in faults_in(bytes(event), ("body", "events", at)):
            yield fault
            told += 1
            if told == MOST_FAULTS:
                return


def faults_in(event: bytes, place: tuple[str | int, ...]) -> Iterator[Fault]:
    """Every fault of one event: the typed decoder stops at the first."""
    try:
        found = msgspec.json.decode(event)
    except UNREADABLE as error:
        yield Fault(place, words_of(error), "json_invalid")
        return
    if not isinstance(found, dict):
        yield Fault(place, "an event is an object", "type")
        return
    for name, field in FIELDS.items():
        if name in found:
            yield from faults_of_value(found[name], field.type, (*place, name))
        elif field.required:
            yield Fault((*place, name), "is required", "missing")
    for name in found.keys() - FIELDS.keys():
        yield Fault((*place, name), f"is unknown; known are {', '.join(FIELDS)}", "extra_forbidden")


def faults_of_value(value: Any, type_: Any, place: tuple[str | int, ...]) -> Iterator[Fault]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        yield Fault(place, words_of(error), "value_error")


PATH = re.compile(r" - at `[^`]*`$")


def words_of(error: Exception) -> str:
    return PATH.sub("", str(error))


# Rows -------------------------------------------------------------------------------------------


def rows_of(events: Sequence[Reading], limits: Limits) -> list[Row]:
    """Refuses all of them if one has a time out of bounds or an id that cannot be printed."""
    ids = new_ids(sum(1 for event in events if event.event_id is None))
    rows = [row_of(event, limits, ids) for event in events]
    fit = all(limits.oldest <= row[2] <= limits.newest for row in rows)
    if not fit or not all(map(has_good_labels, rows)):
        raise refusal(list(faults_of_rows(rows, limits)))
    return rows


def row_of(event: Reading, limits: Limits, ids: Iterator[str]) -> Row:
    ear = round(event.ear_value * EAR_UNITS)
    duration = round(event.duration_ms * DURATION_UNITS)
    at = limits.now if event.timestamp is None else microseconds_at(event.timestamp)
    return (
        UNKNOWN if event.device_id is None else event.device_id,
        next(ids) if event.event_id is None else event.event_id,
        at,
        ear,
        event.is_drowsy,
        duration,
        # What is stored is what is graded.
        limits.rule.place(ear / EAR_UNITS, duration / DURATION_UNITS),
        event.session_id,
    )


def microseconds_at(moment: datetime) -> int:
    """Naive is UTC. A float holds microseconds exactly for the next 250 years."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000_000)


def new_ids(count: int) -> Iterator[str]:
    """UUIDv7 that follow one another (RFC 9562, 6.2): one is drawn, the others count on from it."""
    if not count:
        return iter(())
    first = uuid7().int
    digits = (f"{first + more:032x}" for more in range(count))
    return (f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}" for d in digits)


def has_good_labels(row: Row) -> bool:
    device, event, session = row[0], row[1], row[7]
    return is_label(device) and is_label(event) and (session is None or is_label(session))


def is_label(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def faults_of_rows(rows: Sequence[Row], limits: Limits) -> Iterator[Fault]:
    single = len(rows) == 1
    told = 0
    for at, row in enumerate(rows):
        place: tuple[str | int, ...] = ("body",) if single else ("body", "events", at)
        for fault in faults_of_row(row, limits, place):
            yield fault
            told += 1
            if told == MOST_FAULTS:
                return


def faults_of_row(row: Row, limits: Limits, place: tuple[str | int, ...]) -> Iterator[Fault]:
    for name, value in zip(LABELS, (row[0], row[1], row[7]), strict=True):
        if value is not None and not is_label(value):
            yield Fault((*place, name), UNPRINTABLE)
    if row[2] > limits.newest:
        yield Fault((*place, "timestamp"), "lies more than a day ahead: set the device's clock")
    if row[2] < limits.oldest:
        words = "is older than events are kept (TELEMETRY_RETENTION_DAYS): leave this event out"
        yield Fault((*place, "timestamp"), words)
