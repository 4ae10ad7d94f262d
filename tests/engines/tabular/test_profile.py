"""A profile says what each column holds, exactly, and in a form that JSON takes."""

import json
import math
import statistics
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astralytiq.engines.tabular.histograms import POINTS
from astralytiq.engines.tabular.profile import (
    ColumnProfile,
    TableProfile,
    Value,
    asdict,
    profile,
    restored,
)

from .conftest import Make


def only(make: Make, values: Any) -> ColumnProfile:
    found = profile(make({"x": values}))
    as_json(found)
    return found.columns[0]


def as_json(found: TableProfile) -> Any:
    """What JSON makes of it is enough to have it again."""
    text = json.dumps(asdict(found), allow_nan=False)
    assert restored(json.loads(text)) == found
    return json.loads(text)


def test_numbers_are_described_by_moments_quantiles_and_bars(make: Make) -> None:
    values = [*range(1, 101), None]
    column = only(make, values)
    assert (column.type, column.kind, column.nulls, column.distinct) == ("int64", "int", 1, 100)
    assert (column.min, column.max, column.mean) == (1, 100, 50.5)
    assert column.std == pytest.approx(statistics.stdev(range(1, 101)))
    assert column.quantiles is not None
    assert column.quantiles["p50"] == 50.5
    assert column.quantiles["p1"] == pytest.approx(1.99)
    assert column.histogram is not None
    assert column.histogram.counts == [4, *[5] * 18, 6]
    assert (column.histogram.edges[0], column.histogram.edges[-1]) == (1, 100)
    assert column.null_share == pytest.approx(1 / 101)
    assert not column.estimated


def test_few_whole_numbers_have_a_bar_each(make: Make) -> None:
    column = only(make, [3, 3, 5, 3])
    assert column.histogram is not None
    assert (column.histogram.edges, column.histogram.counts) == ([3, 4, 5, 6], [3, 0, 1])
    assert column.top == [Value(3, 3), Value(5, 1)]


def test_what_is_no_finite_number_is_counted_and_left_aside(make: Make) -> None:
    column = only(make, pa.array([1.0, math.nan, math.inf, -math.inf, None, -0.0, 0.0, -2.0]))
    assert (column.nulls, column.nan, column.infinite) == (1, 1, 2)
    assert (column.min, column.max, column.mean, column.distinct) == (-2.0, 1.0, -0.25, 3)
    assert (column.zeros, column.negatives) == (2, 1)


def test_numbers_of_any_size_are_exact(make: Make) -> None:
    low, high = -(2**63), 2**63 - 1
    column = only(make, [low, high, high])
    assert (column.min, column.max, column.distinct) == (low, high, 2)
    assert column.histogram is not None
    assert sum(column.histogram.counts) == 3
    assert column.top[0] == Value(high, 2)


def test_floats_whose_sum_is_too_large_have_no_mean_but_all_else(make: Make) -> None:
    column = only(make, [1.7e308, 1.7e308, -1.7e308])
    assert (column.mean, column.std) == (5.666666666666667e307, None)
    assert column.histogram is not None
    assert sum(column.histogram.counts) == 3
    assert only(make, [1.7e308, 1.7e308]).mean is None


def test_truths_have_a_share(make: Make) -> None:
    column = only(make, [True, True, None, False, True])
    assert (column.kind, column.true_share, column.distinct) == ("bool", 0.75, 2)
    assert column.top == [Value(True, 3), Value(False, 1)]


def test_dates_and_moments_are_told_in_iso_8601_and_utc(make: Make) -> None:
    days = only(make, [date(2024, 1, 1), date(2024, 1, 3)])
    assert (days.min, days.max, days.mean) == ("2024-01-01", "2024-01-03", "2024-01-02")
    assert days.std == pytest.approx(math.sqrt(2) * 86400)
    zone = timezone(timedelta(hours=2))
    moments = only(make, [datetime(2024, 1, 1, 2, tzinfo=zone), datetime(2024, 1, 2, tzinfo=UTC)])
    assert (moments.min, moments.max) == ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")
    assert moments.quantiles is not None
    assert moments.quantiles["p50"] == "2024-01-01T00:00:00Z"
    assert moments.histogram is not None
    assert moments.histogram.edges[0] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_of_any_unit_are_equal(make: Make, unit: Any) -> None:
    seconds = pa.array([1_700_000_000], pa.timestamp("s"))
    assert only(make, seconds.cast(pa.timestamp(unit))).min == "2023-11-14T22:13:20Z"


def test_text_is_measured_in_characters(make: Make) -> None:
    texts = only(make, ["é", "日本語", " x ", "", None, "\t"]).texts
    assert texts is not None
    assert (texts.shortest, texts.longest, texts.mean_length) == (0, 3, 8 / 5)
    assert (texts.blank, texts.padded) == (2, 2)


def test_the_commonest_texts_come_first_and_of_equals_the_smaller(make: Make) -> None:
    column = only(make, ["b", "a", "c", "c", "ü", "ü", None])
    assert column.top == [Value("c", 2), Value("ü", 2), Value("a", 1), Value("b", 1)]


def test_of_equally_common_values_the_smaller_are_kept(make: Make) -> None:
    column = only(make, [*range(100), *range(100), 99])
    assert column.top[0] == Value(99, 3)
    assert [value.value for value in column.top[1:]] == list(range(49))


def test_text_that_differs_in_every_row_has_no_commonest(make: Make) -> None:
    column = only(make, [f"row {number}" for number in range(1000)])
    assert (column.distinct, column.top) == (1000, [])


def test_common_texts_are_found_far_down_and_among_many(make: Make) -> None:
    texts = [f"once {number}" for number in range(70_000)] + ["late", "late", None, "late"]
    column = only(make, texts)
    assert column.top[0] == Value("late", 3)
    assert column.distinct == 70_001


def test_very_long_texts_are_told_apart_and_cut(make: Make) -> None:
    column = only(make, ["a" * 3_000_000 + end for end in "xyx"])
    assert column.distinct == 2
    assert [len(value.value) for value in column.top] == [200, 200]
    assert column.texts is not None
    assert column.texts.longest == 3_000_001


@pytest.mark.parametrize(
    ("meant", "misfit"),
    [
        ("12", "twelve"),
        ("2024-02-28", "2024-13-01"),
        ("2024-02-28 10:00:00Z", "10 o'clock"),
        ("True", "ja"),
        ("a.b@example.com", "a.b@example"),
        ("6fa459ea-ee8a-3ca4-894e-db77e160355e", "6fa459ea"),
    ],
)
def test_text_that_nearly_all_reads_as_one_thing_says_so(
    make: Make, meant: str, misfit: str
) -> None:
    texts = only(make, [meant] * 30 + [misfit, "", None]).texts
    assert texts is not None
    assert texts.looks_like is not None
    assert texts.misfits == 1
    mixed = only(make, [meant] * 18 + [misfit]).texts
    assert mixed is not None
    assert (mixed.looks_like, mixed.misfits) == (None, 0)


def test_names_that_are_written_in_digits_are_no_numbers(make: Make) -> None:
    texts = only(make, ["10115"] * 99 + ["01067"]).texts
    assert texts is not None
    assert texts.looks_like is None


def test_an_empty_table_has_a_profile(make: Make) -> None:
    for type_ in (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32()):
        found = profile(make({"x": pa.array([], type_)}))
        as_json(found)
        assert (found.rows, found.repeated_rows, found.columns[0].distinct) == (0, 0, 0)
        assert found.columns[0].histogram is None


def test_one_row_has_no_deviation(make: Make) -> None:
    column = only(make, [7.5])
    assert (column.mean, column.std, column.distinct) == (7.5, None, 1)
    assert column.histogram is not None
    assert (column.histogram.edges, column.histogram.counts) == ([7.5, 7.5], [1])


@pytest.mark.parametrize("type_", [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.null()])
def test_a_column_of_nulls_holds_nothing_else(make: Make, type_: Any) -> None:
    column = only(make, pa.array([None, None], type_))
    assert (column.nulls, column.null_share, column.min, column.top) == (2, 1.0, None, [])


def test_types_of_other_writers_are_understood(make: Make) -> None:
    found = profile(
        make(
            {
                "small": pa.array([1, 2], pa.int8()),
                "huge": pa.array([2**64 - 1, 0], pa.uint64()),
                "half": pa.array(np.array([0.5, 1], dtype=np.float16)),
                "money": pa.array([Decimal("1.10"), Decimal("2.20")]),
                "word": pa.array(["a", "b"], pa.large_string()),
                "category": pa.array(["a", "a"]).dictionary_encode(),
                "raw": pa.array([b"\x00", b"\xff"]),
                "day": pa.array([date(2024, 1, 1)] * 2, pa.date64()),
            }
        )
    )
    as_json(found)
    assert [column.kind for column in found.columns] == [
        "int", "int", "float", "float", "text", "text", "bytes", "date"
    ]  # fmt: skip
    assert [column.distinct for column in found.columns] == [2, 2, 2, 2, 2, 1, 2, 1]
    assert found.columns[1].max == 2**64 - 1


def test_nested_values_are_only_counted_and_repeats_not_claimed(make: Make) -> None:
    found = profile(make({"list": pa.array([[1], None, [1]]), "n": pa.array([1, 2, 1])}))
    as_json(found)
    assert (found.columns[0].kind, found.columns[0].nulls) == ("other", 1)
    assert found.columns[0].distinct is None
    assert found.columns[1].distinct == 2
    assert found.repeated_rows is None


def test_names_with_dots_are_columns_like_others(make: Make) -> None:
    found = profile(make({"a.b": [1, 2], "a": ["x", "y"], "": [True, None]}))
    assert [(column.name, column.kind) for column in found.columns] == [
        ("a.b", "int"), ("a", "text"), ("", "bool")
    ]  # fmt: skip


def test_repeated_rows_are_those_equal_in_every_column(make: Make) -> None:
    rows: dict[str, list[Any]] = {
        "a": [1, 1, None, None, 1, None],
        "b": ["x", "x", "y", "y", "y", None],
        "c": [0.0, -0.0, math.nan, math.nan, 1.0, 2.0],
    }
    assert profile(make(rows)).repeated_rows == 2
    # The same values in other columns are another row; so is null beside nothing.
    assert profile(make({"a": ["x", "y"], "b": ["y", "x"]})).repeated_rows == 0
    assert profile(make({"a": ["", None]})).repeated_rows == 0


def test_the_same_content_has_the_same_profile_however_it_is_stored(make: Make) -> None:
    rng = np.random.default_rng(0)
    columns = {"n": rng.normal(size=5000), "s": [f"v{n}" for n in rng.integers(0, 900, 5000)]}
    first = profile(make(columns, "one.parquet"), threads=1)
    for rows_per_group in (7, 5000):
        assert profile(make(columns, "two.parquet", rows_per_group)) == first


def test_progress_is_told_and_can_end_the_work(make: Make) -> None:
    path = make({f"c{number}": [1, 2] for number in range(3)})
    told: list[float] = []
    profile(path, progress=told.append)
    assert told[-1] == 1.0

    def stop(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        profile(path, progress=stop)


def test_ten_thousand_columns_are_profiled_in_less_detail(make: Make) -> None:
    values = pa.array(np.arange(100.0))
    found = profile(make({f"column {number}": values for number in range(10_000)}))
    assert len(found.columns) == 10_000
    assert found.columns[-1] == replace(found.columns[0], name="column 9999")
    distribution = found.columns[0].distribution
    assert distribution is not None
    assert len(distribution.edges) < POINTS / 2


def test_beyond_the_limit_some_rows_are_looked_at_and_the_profile_says_so(make: Make) -> None:
    rng = np.random.default_rng(1)
    rows = 40_000
    columns: dict[str, Any] = {
        "n": pa.array(rng.normal(size=rows), mask=rng.random(rows) < 0.1),
        "k": rng.integers(0, 10, rows),
        "id": np.arange(rows),
        "s": pa.array([f"v{value}" for value in rng.integers(0, 3, rows)]),
    }
    twice = {name: pa.array(values)[:20_000] for name, values in columns.items()}
    path = make({name: pa.concat_arrays([values, values]) for name, values in twice.items()})
    exact, found = profile(path), profile(path, most_rows=10_000)
    as_json(found)
    assert (exact.estimated, found.estimated) == (False, True)
    assert exact.repeated_rows == 20_000
    assert found.repeated_rows == pytest.approx(20_000, rel=0.05)
    for one, other in zip(exact.columns, found.columns, strict=True):
        assert (one.nulls, one.min, one.max) == (other.nulls, other.min, other.max)
    n, k, identity, s = found.columns
    assert n.mean == pytest.approx(0, abs=0.05)
    assert (k.distinct, s.distinct) == (10, 3)
    assert sum(value.count for value in s.top) == pytest.approx(rows, rel=0.05)
    assert {value.value for value in s.top} == {"v0", "v1", "v2"}
    # Of what is rare an estimate from one row in four may be off by a factor of two.
    assert identity.distinct is not None
    assert 10_000 <= identity.distinct <= 40_000


CELLS = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    st.lists(st.one_of(st.none(), st.floats())),
    st.lists(st.one_of(st.none(), st.text())),
    st.lists(st.one_of(st.none(), st.booleans())),
    st.lists(st.one_of(st.none(), st.dates())),
    st.lists(st.one_of(st.none(), st.datetimes())),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CELLS)
def test_any_column_has_a_profile_that_counts_right(make: Make, cells: list[Any]) -> None:
    found = only(make, cells)
    held = [cell for cell in cells if cell is not None]
    held = [cell for cell in held if not isinstance(cell, float) or math.isfinite(cell)]
    assert found.nulls == cells.count(None)
    assert found.nulls + found.nan + found.infinite + len(held) == len(cells)
    assert found.distinct == (len(set(held)) if found.kind != "other" else None)
    if found.histogram:
        assert sum(found.histogram.counts) == len(held)
    if found.distribution:
        assert found.distribution.up_to[-1] == len(held)
