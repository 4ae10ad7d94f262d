"""The values of a cursor field: what can be compared with what, and how one is written back.

Text that is a time is a moment; text that JSON would write as a number is that number; all other
text is compared as text. Numbers of 10 or 13 digits may be seconds or milliseconds since 1970.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

from astralytiq.engines.etl.values import EPOCH_LENGTHS, LARGEST, SMALLEST, as_moment, from_csv

Kind = Literal["moment", "number", "text"]
Written = str | int | float

LONGEST = 200  # characters: what is longer is no place in an order
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d.*)?", re.ASCII)
MAIL = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} .*", re.ASCII)
FARTHEST = 10**15  # the largest lag
LAG = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MILLISECOND_DIGITS = max(EPOCH_LENGTHS)


@dataclass(slots=True)  # Not frozen: made for each record, it would take twice as long.
class Point:
    """A place in the order of its kind. `written` is how the source wrote it."""

    kind: Kind
    key: Any
    written: Written

    def __lt__(self, other: "Point") -> bool:
        return bool(self.key < other.key)

    def __le__(self, other: "Point") -> bool:
        return bool(self.key <= other.key)


def point_of(value: Any) -> Point | None:
    """None for what has no place in an order: nothing, lists, objects, endless text."""
    if isinstance(value, str):
        return point_in(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    held = SMALLEST <= value <= LARGEST if isinstance(value, int) else math.isfinite(value)
    return Point("number", value, value) if held else None


def point_in(text: str) -> Point | None:
    if not 0 < len(text) <= LONGEST or "\x00" in text:
        return None
    if not text.isdecimal():
        if ISO.fullmatch(text):
            return moment_in(text, in_iso)
        if MAIL.fullmatch(text):
            return moment_in(text, as_moment)
    number = from_csv(text)
    if isinstance(number, str):
        return Point("text", text, text)
    return Point("number", number, text)


def moment_in(text: str, read: Callable[[str], datetime | None]) -> Point:
    try:
        return Point("moment", read(text), text)
    except (ValueError, OverflowError):
        return Point("text", text, text)


def in_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def signpost(point: Point, now: datetime) -> Point:
    """`point`, but not after `now`: what came while others were read may still be missing."""
    if point.kind == "moment":
        return point if point.key <= now else moved(point, now)
    digits = digits_of(point)
    if digits not in EPOCH_LENGTHS:
        return point
    present = int(now.timestamp() * unit(digits))
    return point if point.key <= present else moved(point, present)


def before(point: Point, lag: str | float) -> Point:
    """The place that lies `lag` before `point`: a time ("10m"), or a number in its own unit."""
    is_time = isinstance(lag, str)
    amount = float(seconds_of(lag)) if isinstance(lag, str) else lag
    if point.kind == "moment":
        earliest = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
        room = (point.key - earliest).total_seconds()
        return moved(point, point.key - timedelta(seconds=max(0.0, min(amount, room))))
    step = amount * unit(digits_of(point)) if is_time else amount
    return moved(point, point.key - (int(step) if step == int(step) else step))


def seconds_of(lag: str) -> int:
    found = LAG.fullmatch(lag.strip())
    if found is None:
        raise ValueError("give a time such as '10m' (s, m, h, d), or a number")
    return int(found[1]) * SECONDS[found[2]]


def digits_of(point: Point) -> int:
    if point.kind != "number" or point.key < 1:
        return 0
    return len(str(int(point.key)))


def unit(digits: int) -> int:
    """How many of it make a second."""
    return 1000 if digits == MILLISECOND_DIGITS else 1


def moved(point: Point, key: Any) -> Point:
    """Another place, written as its source writes; where that is coarser, the place before it."""
    if point.kind == "number":
        written = str(key) if isinstance(point.written, str) else key
        return replace(point, key=key, written=written)
    found = point_in(moment_like(str(point.written), key))
    assert found
    return found


def moment_like(text: str, moment: datetime) -> str:
    if not ISO.fullmatch(text):
        return format_datetime(moment.replace(microsecond=0))
    if len(text) == len("2026-01-31"):
        return moment.date().isoformat()
    own = datetime.fromisoformat(text)
    local = moment.astimezone(own.tzinfo) if own.tzinfo else moment.replace(tzinfo=None)
    precision = "microseconds" if "." in text or "," in text else "seconds"
    shown = local.isoformat(sep=text[10], timespec=precision)
    return shown.replace("+00:00", "Z") if text.endswith("Z") else shown
