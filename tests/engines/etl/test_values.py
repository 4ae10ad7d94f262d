"""What single values become."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from astralytiq.engines.etl.values import as_moment, as_text, from_csv


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("3.50", 3.5),
        ("-0.25", -0.25),
        ("1e3", 1000.0),
        ("1.5E-07", 1.5e-07),
        ("0e0", 0.0),
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
    ],
)
def test_cells_that_are_numbers_become_numbers(text: str, value: Any) -> None:
    found = from_csv(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "007", "+1", " 1", "1 ", "-0", "-", ".5", "5.", "1,5", "1_000", "0x10", "nan", "NaN", "inf",
        "-inf", "true", "1e999", "1e-999", "\u0661\u0662", "9223372036854775808",
        "12345678901234567890123", "3.14159265358979323846", "2026-01-01", "1.2.3",
    ],
)  # fmt: skip
def test_cells_that_a_number_would_change_stay_text(text: str) -> None:
    assert from_csv(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", None), (None, None), (7, "7"), (1.5, "1.5"), (True, "true"), (" ", " ")],
)
def test_text_fields_take_what_json_can_write(value: Any, text: str | None) -> None:
    assert as_text(value) == text


def test_text_fields_refuse_what_has_parts() -> None:
    with pytest.raises(ValueError, match="a list where text belongs"):
        as_text(["a"])


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31 12:00",
        " 2026-01-31T14:00+02:00 ",
        "Sat, 31 Jan 2026 12:00:00 GMT",
        "Sat, 31 Jan 2026 13:00:00 +0100",
        1769860800,
        1769860800000,
        1769860800.0,
        "1769860800",
        "1769860800000",
    ],
)
def test_times_in_many_spellings_are_one_time_in_utc(value: Any) -> None:
    found = as_moment(value)
    assert found == NOON
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_date_is_its_midnight_and_nothing_is_no_time() -> None:
    assert as_moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert as_moment("") is None
    assert as_moment(None) is None
    assert as_moment(NOON.astimezone(timezone(timedelta(hours=5))).isoformat()) == NOON


@pytest.mark.parametrize(
    "value",
    ["soon", "31.01.2026", "2026-13-01", True, ["2026"], {}, 1e300, "0001-01-01T00:00+14:00"],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="time"):
        as_moment(value)
