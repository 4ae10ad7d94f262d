"""What a cursor field holds has a place in an order, and can be said to its source again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astralytiq.engines.etl.cursor_values import Point, before, point_of, seconds_of, signpost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(value: Any) -> Point:
    found = point_of(value)
    assert found
    return found


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2026-03-01", "moment"),
        ("2026-03-01T12:00:00Z", "moment"),
        ("2026-03-01 12:00:00.5+02:00", "moment"),
        ("Sun, 01 Mar 2026 12:00:00 GMT", "moment"),
        (17, "number"),
        ("17", "number"),
        (1.5, "number"),
        (1_772_000_000, "number"),
        ("v17", "text"),
        ("007", "text"),
        ("20260301x", "text"),
        ("2026-13-45", "text"),
    ],
)
def test_a_value_is_a_moment_a_number_or_text(value: Any, kind: str) -> None:
    assert at(value).kind == kind
    assert at(value).written == value


@pytest.mark.parametrize(
    "value", [None, "", " ", True, [], {}, "x" * 201, "a\x00", 2**80, float("nan")]
)
def test_what_has_no_place_in_an_order_is_nothing(value: Any) -> None:
    assert point_of(value) is None


def test_moments_compare_as_moments_and_numbers_as_numbers() -> None:
    assert at("2026-03-01T13:30:00+02:00") < at("2026-03-01T12:00:00Z")
    assert at("2026-03-01T12:00:00Z") <= at("2026-03-01T14:00:00+02:00")
    assert at("9") < at("10")
    assert at("a10") < at("a9")


@pytest.mark.parametrize(
    ("late", "capped"),
    [
        ("2026-03-01T12:00:00.25Z", "2026-03-01T12:00:00.000000Z"),
        ("2026-03-01T14:30:00+02:00", "2026-03-01T14:00:00+02:00"),
        ("2026-03-01 12:00:01", "2026-03-01 12:00:00"),
        ("2026-03-02", "2026-03-01"),
        ("Sun, 01 Mar 2026 12:00:01 GMT", "Sun, 01 Mar 2026 12:00:00 +0000"),
        (int(NOON.timestamp()) + 5, int(NOON.timestamp())),
        (str(int(NOON.timestamp()) + 5), str(int(NOON.timestamp()))),
        (int(NOON.timestamp() * 1000) + 5, int(NOON.timestamp() * 1000)),
    ],
)
def test_the_signpost_is_written_as_the_source_writes(late: Any, capped: Any) -> None:
    assert signpost(at(late), NOON).written == capped


@pytest.mark.parametrize("value", ["2026-03-01T11:59:59Z", 17, 10**18, "v17", 1.5])
def test_what_is_no_time_or_is_past_passes_the_signpost(value: Any) -> None:
    assert signpost(at(value), NOON) == at(value)


@pytest.mark.parametrize(
    ("value", "lag", "earlier"),
    [
        ("2026-03-01T12:00:00Z", "10m", "2026-03-01T11:50:00Z"),
        ("2026-03-01T12:00:00Z", 1, "2026-03-01T11:59:59Z"),
        ("2026-03-01", "1h", "2026-02-28"),
        (1_772_000_000, "1m", 1_771_999_940),
        (1_772_000_000_000, "1m", 1_771_999_940_000),
        (100, 7, 93),
        ("100", 7, "93"),
        ("0001-01-03", "9999d", "0001-01-02"),
    ],
)
def test_the_lag_is_a_time_or_a_number_in_its_own_unit(value: Any, lag: Any, earlier: Any) -> None:
    assert before(at(value), lag).written == earlier


@given(
    st.datetimes(*(NOON.replace(tzinfo=None, year=year) for year in (1980, 2100))),
    st.sampled_from(
        ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%Y-%m-%dT%H:%M+02:00"]
    ),
    st.integers(0, 10**7),
)
def test_however_it_is_written_a_place_before_another_is_never_after_it(
    moment: datetime, pattern: str, seconds: int
) -> None:
    point = at(moment.strftime(pattern))
    earlier = before(point, f"{seconds}s")
    assert earlier.key <= point.key - timedelta(seconds=seconds)
    assert point_of(earlier.written) == earlier


def test_a_lag_that_is_none_is_refused_with_words() -> None:
    with pytest.raises(ValueError, match="10m"):
        seconds_of("soon")
