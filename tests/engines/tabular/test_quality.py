"""Quality is a mean of parts, and each part shows the rows that lower it."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from astralytiq.engines.tabular.checks import Example
from astralytiq.engines.tabular.profile import profile
from astralytiq.engines.tabular.quality import Part, Quality, Rule, asdict, quality
from astralytiq.engines.tabular.rules import BadRule

from .conftest import Make

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


def measure(make: Make, columns: dict[str, Any], *rules: Rule, **options: Any) -> Quality:
    path = make(columns)
    found = quality(path, profile(path), rules, as_of=NOW, **options)
    json.dumps(asdict(found), allow_nan=False)
    return found


def part(found: Quality, name: str) -> Part:
    return next(one for one in found.parts if one.name == name)


def score(make: Make, name: str, columns: dict[str, Any], *rules: Rule) -> float | None:
    return part(measure(make, columns, *rules), name).score


def blamed(found: Quality, name: str) -> list[tuple[str | None, str, list[int]]]:
    return [
        (fault.column, fault.rule, [example.row for example in fault.examples])
        for fault in part(found, name).faults
    ]


def test_a_table_without_faults_has_a_hundred(make: Make) -> None:
    columns = {"id": [1, 2, 3], "name": ["ann", "bob", "cid"], "day": [date(2024, 6, 1)] * 3}
    found = measure(make, columns)
    assert found.score == 100.0
    assert [one.name for one in found.parts] == [
        "completeness", "uniqueness", "validity", "consistency", "freshness"
    ]  # fmt: skip
    assert all((one.score, one.weight, one.faults) == (100.0, 0.2, []) for one in found.parts)


def test_the_score_is_the_mean_of_what_can_be_measured(make: Make) -> None:
    found = measure(make, {"n": [1, None, 1, 2]})
    scores = {one.name: one.score for one in found.parts}
    assert scores == {
        "completeness": 75.0, "uniqueness": 75.0, "validity": 100.0,
        "consistency": None, "freshness": None,
    }  # fmt: skip
    assert found.score == pytest.approx(250 / 3, abs=0.01)
    assert [one.weight for one in found.parts] == [1 / 3, 1 / 3, 1 / 3, 0.0, 0.0]
    assert [bool(one.note) for one in found.parts] == [False, False, False, True, True]


def test_completeness_counts_cells_without_a_value(make: Make) -> None:
    columns = {"a": [1.0, math.nan, None, math.inf], "b": ["x", "", " ", "y"], "c": [1, 2, 3, 4]}
    found = measure(make, columns)
    assert part(found, "completeness").score == pytest.approx(100 * 8 / 12, abs=0.01)
    assert blamed(found, "completeness") == [("a", "missing", [2, 3]), ("b", "missing", [2, 3])]
    assert part(found, "completeness").faults[0].examples == [Example(2, "NaN"), Example(3, None)]


def test_uniqueness_counts_rows_that_repeat_an_earlier_one(make: Make) -> None:
    found = measure(make, {"a": [1, 2, 1, 1], "b": ["x", "y", "x", "z"]})
    assert part(found, "uniqueness").score == 75.0
    assert blamed(found, "uniqueness") == [(None, "repeated", [3])]
    assert part(found, "uniqueness").faults[0].examples[0].value == [1, "x"]


def test_validity_counts_text_that_does_not_read_as_the_rest_does(make: Make) -> None:
    found = measure(make, {"amount": ["1.5"] * 39 + ["?"], "n": [1.0] * 39 + [math.inf]})
    assert part(found, "validity").score == pytest.approx(100 * 78 / 80)
    assert blamed(found, "validity") == [("amount", "number", [40]), ("n", "infinite", [40])]


def test_validity_counts_what_is_not_of_the_declared_type(make: Make) -> None:
    columns = {"n": ["1", "2.5", None], "t": [1, 2, 3], "f": [1, 2, 3], "s": ["1", "x", ""]}
    declared = {"n": "int64", "t": "timestamp", "f": "float64", "s": "string"}
    found = measure(make, columns, declared=declared)
    assert blamed(found, "validity") == [("t", "type", [1, 2, 3]), ("n", "type", [2])]
    assert part(found, "validity").score == pytest.approx(100 * 6 / 10)


def test_consistency_counts_rarer_spellings_and_padding(make: Make) -> None:
    cities = ["New York"] * 5 + ["new-york", "NEW YORK", "Berlin", "Berlin", "Berlin "]
    found = measure(make, {"city": cities})
    assert blamed(found, "consistency") == [("city", "spelling", [6, 7]), ("city", "padded", [10])]
    assert part(found, "consistency").score == pytest.approx(100 * 17 / 20)


def test_text_that_is_no_closed_set_of_words_has_no_spellings(make: Make) -> None:
    names = [f"Name {number}" for number in range(50)] + ["name 1"]
    assert score(make, "consistency", {"name": names}) == 100.0
    assert score(make, "consistency", {"n": ["-1", "1"] * 50}) == 100.0


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("start_date", "end_date"),
        ("startDate", "endDate"),
        ("CREATED_AT", "UPDATED_AT"),
        ("opened", "closed"),
    ],
)
def test_consistency_counts_ends_that_come_before_their_start(
    make: Make, start: str, end: str
) -> None:
    days = [date(2024, 1, day) for day in (1, 2, 3, 4)]
    found = measure(make, {start: days, end: [days[0], days[0], None, days[3]]})
    assert blamed(found, "consistency") == [(f"{start}, {end}", "order", [2])]
    fault = part(found, "consistency").faults[0]
    assert (fault.checked, fault.examples[0].value) == (3, ["2024-01-02", "2024-01-01"])


def test_numbers_are_only_paired_where_names_leave_no_doubt(make: Make) -> None:
    station = {"start_station": [5, 6], "end_station": [1, 2], "from": [2, 2], "to": [1, 1]}
    assert score(make, "consistency", station) is None
    assert score(make, "consistency", {"min_t": [1.0, 5.0], "max_t": [2.0, 2.0]}) == 50.0


def hourly(newest: datetime, rows: int = 100) -> list[datetime]:
    return [newest - timedelta(hours=step) for step in range(rows)]


@pytest.mark.parametrize(
    ("age", "expected"),
    [(timedelta(hours=1), 100.0), (timedelta(days=1), 100.0), (timedelta(days=4), 25.0)],
)
def test_freshness_falls_once_the_newest_row_is_older_than_a_day(
    make: Make, age: timedelta, expected: float
) -> None:
    assert score(make, "freshness", {"created_at": hourly(NOW - age)}) == expected


def test_freshness_knows_the_silences_of_the_column(make: Make) -> None:
    weeks = [NOW - timedelta(days=7 * step) for step in range(1, 20)]
    assert score(make, "freshness", {"time": weeks}) == 100.0
    assert score(make, "freshness", {"time": [NOW - timedelta(days=14), *weeks[2:]]}) == 50.0


def test_freshness_takes_a_column_and_a_shelf_life(make: Make) -> None:
    columns = {"created_at": hourly(NOW), "birth": hourly(NOW - timedelta(days=4))}
    found = measure(make, columns, time_column="birth", shelf_life=timedelta(days=2))
    assert part(found, "freshness").score == 50.0
    assert "birth" in (part(found, "freshness").note or "")


def test_freshness_is_left_out_where_no_column_says_when_rows_came_about(make: Make) -> None:
    old = [date(1990, 1, 1), date(1991, 1, 1)]
    for name in ("birth_date", "expires_at", "valid_until", "period"):
        assert score(make, "freshness", {name: old}) is None
    assert score(make, "freshness", {"created_at": pa.array([None], pa.date32())}) is None


def test_moments_to_come_are_faults(make: Make) -> None:
    found = measure(make, {"created_at": [NOW, NOW + timedelta(hours=1), NOW, NOW]})
    assert part(found, "freshness").score == 75.0
    assert blamed(found, "freshness") == [("created_at", "future", [2])]


def test_a_rule_adds_its_checks_to_its_part(make: Make, tmp_path: Any) -> None:
    other = make({"key": ["a", "b"]}, "other.parquet")
    columns = {"id": [1, 1, 2, 3], "x": ["a", "b", "c", None]}
    wanted = [
        Rule("not_null", "x"),
        Rule("unique", "id"),
        Rule("range", "id", high=2),
        Rule("regex", "x", pattern="[ab]"),
        Rule("in", "x", values=("a", "b", "c")),
        Rule("foreign", "x", path=other, key="key"),
    ]
    found = measure(make, columns, *wanted)
    assert [(fault.rule, fault.rows_affected) for fault in found.rules] == [
        ("not_null", 1), ("unique", 1), ("range", 1), ("regex", 1), ("in", 0), ("foreign", 1)
    ]  # fmt: skip
    figures = {one.name: (one.failed, one.checked) for one in found.parts}
    assert figures == {
        "completeness": (2, 12),
        "uniqueness": (1, 8),
        "validity": (2, 7 + 4 + 3 + 3),
        "consistency": (1, 3 + 3),
        "freshness": (0, 0),
    }


def test_a_rule_that_cannot_be_applied_is_refused(make: Make) -> None:
    with pytest.raises(BadRule, match="no column 'y'"):
        measure(make, {"x": [1]}, Rule("unique", "y"))


@pytest.mark.parametrize("name", ["x", "none"])
def test_freshness_by_what_is_no_column_of_times_is_refused(make: Make, name: str) -> None:
    with pytest.raises(BadRule, match="no column of times"):
        measure(make, {"x": ["2024-01-01"]}, time_column=name)


def test_one_fault_among_many_rows_is_not_rounded_away(make: Make) -> None:
    found = measure(make, {"n": pa.array([None, *range(1, 200_000)], pa.int64())})
    assert part(found, "completeness").score == 99.99
    assert found.score is not None
    assert found.score < 100


def test_an_empty_table_has_no_score(make: Make) -> None:
    for type_ in (pa.int64(), pa.string(), pa.timestamp("us", tz="UTC")):
        found = measure(make, {"time": pa.array([], type_)}, Rule("not_null", "time"))
        assert found.score is None
        assert all(one.score is None and one.note for one in found.parts)


def test_a_table_of_nulls_is_complete_in_nothing(make: Make) -> None:
    found = measure(make, {"x": pa.array([None, None], pa.string())})
    assert part(found, "completeness").score == 0.0
    assert part(found, "validity").score is None
    assert found.score == 25.0


def test_faults_are_found_in_a_table_that_is_read_in_parts(make: Make) -> None:
    rng = np.random.default_rng(0)
    rows = 150_000
    words = np.array(["open", "closed", "Open"])[rng.choice(3, rows, p=[0.5, 0.49, 0.01])]
    columns = {"id": np.arange(rows) % (rows - 5), "status": words.tolist()}
    found = measure(make, columns, Rule("unique", "id"))
    (fault,) = part(found, "consistency").faults
    assert fault.rows_affected == int((words == "Open").sum())
    assert [one.row for one in fault.examples] == (
        np.flatnonzero(words == "Open")[:10] + 1
    ).tolist()
    assert [one.row for one in found.rules[0].examples] == list(range(rows - 4, rows + 1))


def test_many_columns_with_faults_are_measured(make: Make) -> None:
    cells = pa.array([*["open", "shut"] * 20, "Open", None])
    found = measure(make, {f"column {number}": cells for number in range(1000)})
    assert len(part(found, "completeness").faults) == 1000
    assert part(found, "consistency").failed == 1000
