"""What a single value becomes: text, number, moment or nothing.

Each function answers a value or raises ValueError with words for the person who mends the source.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
PLAIN_STARTS = frozenset("123456789")  # of nearly all whole numbers: spare them the pattern
PLAIN_DIGITS = 19  # fewer always fit into 64 bits
NUMBER_STARTS = frozenset("-0123456789")
SAFE_DIGITS = 15  # every decimal of so many digits comes back unchanged from a 64-bit float
SMALLEST, LARGEST = -(2**63), 2**63 - 1
MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
EPOCH_LENGTHS = (10, 13)  # digits of seconds and of milliseconds, from 2001 to 2286


def from_csv(text: str) -> str | int | float | None:
    """A CSV cell as JSON would hold it.

    Empty is null. A number is what JSON writes as one and a machine holds exactly: no leading
    zero or plus or space, an integer of 64 bits, a decimal that comes back as it was written (as
    all do that Python, pandas or JavaScript wrote). All else ("007", " 1", "-0", "nan", "1,5", a
    20-digit number) stays the text it is.
    """
    if not text:
        return None
    first = text[0]
    if first not in NUMBER_STARTS:
        return text
    if first in PLAIN_STARTS and text.isdecimal() and text.isascii() and len(text) < PLAIN_DIGITS:
        return int(text)
    found = NUMBER.fullmatch(text)
    if found is None:
        return text
    rest, power = found.groups()
    return exact_float(text, power) if rest or power else exact_integer(text)


def exact_integer(text: str) -> int | str:
    if len(text) > 20 or text == "-0":
        return text
    number = int(text)
    return number if SMALLEST <= number <= LARGEST else text


def exact_float(text: str, power: str | None) -> float | str:
    if len(text) <= SAFE_DIGITS and not power:
        return float(text)
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else text


def as_text(value: Any) -> str | None:
    """Text as it is, numbers and truth values as JSON writes them, empty as null."""
    if isinstance(value, str):
        return value or None
    if value is None:
        return None
    if isinstance(value, (dict, list)):
        raise ValueError(f"is {kind_of(value)} where text belongs: map a field inside it")
    return msgspec.json.encode(value).decode()


def as_moment(value: Any) -> datetime | None:
    """ISO 8601, the dates of e-mail and feeds, or seconds or milliseconds since 1970.

    Without a time zone it is UTC.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"is {kind_of(value)}, not a time")
    try:
        moment = parsed(value.strip()) if isinstance(value, str) else from_epoch(value)
        if moment.tzinfo is UTC:
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        shown = str(value)[:40]
        raise ValueError(f"{shown!r} is not a time: use ISO 8601, as 2026-01-31T08:00Z") from None


def parsed(text: str) -> datetime:
    if text.isdecimal() and len(text) in EPOCH_LENGTHS:
        return from_epoch(int(text))
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def from_epoch(number: float) -> datetime:
    seconds = number / 1000 if abs(number) >= MILLISECONDS_FROM else number
    return datetime.fromtimestamp(seconds, UTC)


def kind_of(value: Any) -> str:
    names = {
        dict: "an object", list: "a list", bool: "a truth value", str: "text", type(None): "null"
    }  # fmt: skip
    return names.get(type(value), "a number")
