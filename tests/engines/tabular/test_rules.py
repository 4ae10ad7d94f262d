"""Rules find the rows that break them, and refuse to be applied where they make no sense."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from astralytiq.engines.tabular import rules
from astralytiq.engines.tabular.checks import Example
from astralytiq.engines.tabular.reading import BATCH_ROWS
from astralytiq.engines.tabular.rules import BadRule, Rule

from .conftest import Make


def broken(make: Make, columns: dict[str, Any], rule: Rule) -> list[int]:
    """The rows, from 1, that break it."""
    (fault,) = rules.apply(make(columns), [rule])
    assert fault.rows_affected == len(fault.examples)
    return [example.row for example in fault.examples]


def test_not_null_wants_a_value_in_every_row(make: Make) -> None:
    rule = Rule("not_null", "x")
    assert broken(make, {"x": ["a", None, "", " \t", "b"]}, rule) == [2, 3, 4]
    assert broken(make, {"x": [1.0, math.nan, None, math.inf]}, rule) == [2, 3]
    assert broken(make, {"x": [1, None]}, rule) == [2]


def test_unique_wants_no_value_twice_and_blames_the_later(make: Make) -> None:
    rule = Rule("unique", "x")
    assert broken(make, {"x": ["a", "b", "a", None, None, "a"]}, rule) == [3, 6]
    assert broken(make, {"x": [3, 1, 2]}, rule) == []


def test_unique_of_several_columns_wants_no_combination_twice(make: Make) -> None:
    columns = {"a": [1, 1, 1, None, None], "b": ["x", "y", "x", "x", "x"]}
    path = make(columns)
    (fault,) = rules.apply(path, [Rule("unique", "a", columns=("b",))])
    assert fault.column == "a, b"
    assert fault.examples == [Example(3, [1, "x"])]
    assert (fault.checked, fault.share) == (3, 1 / 3)


@pytest.mark.parametrize(
    ("values", "low", "high", "rows"),
    [
        ([1, 5, 10, None, 11], 2, 10, [1, 5]),
        ([1, 2, 3], 1.5, None, [1]),
        ([1, 2, 3], None, 2.5, [3]),
        ([2**63 - 1, 2**63 - 2], None, 2**63 - 2, [1]),
        ([0.1, math.nan, math.inf, -1.0], 0, 1, [2, 3, 4]),
        ([date(2024, 1, 1), date(2024, 2, 1)], "2024-01-15", None, [1]),
        ([datetime(2024, 1, 1, tzinfo=UTC)], "2024-01-01T00:00:01+00:00", None, [1]),
        ([datetime(2024, 1, 1, tzinfo=UTC)], "2024-01-01T01:00:00+01:00", "2024-01-01", []),
        ([datetime(2024, 1, 1, tzinfo=UTC)], date(2024, 1, 2), None, [1]),
    ],
)
def test_range_takes_both_ends_in(
    make: Make, values: list[Any], low: Any, high: Any, rows: list[int]
) -> None:
    assert broken(make, {"x": values}, Rule("range", "x", low=low, high=high)) == rows


def test_regex_must_match_from_end_to_end(make: Make) -> None:
    columns = {"x": ["AB-1", "AB-12", "xAB-1", "AB-1\n", None, "é-1"]}
    assert broken(make, columns, Rule("regex", "x", pattern=r"\w\w-\d|é-\d")) == [2, 3, 4]


def test_a_hostile_pattern_comes_to_an_end(make: Make) -> None:
    """An engine that tries one way after another would take some 2**100_000 steps."""
    path = make({"x": ["a" * 100_000 + "b"]})
    (fault,) = rules.apply(path, [Rule("regex", "x", pattern="(a+)+|(a|aa)+|(.*a){20}")])
    assert fault.rows_affected == 1
    assert fault.examples[0].value == "a" * 200


@pytest.mark.parametrize(
    ("values", "allowed", "rows"),
    [
        (["a", "b", None, "A"], ("a", "b"), [4]),
        ([1, 2, 3], (1, 3), [2]),
        ([1.0, 2.5], (1,), [2]),
        ([True, False], (True,), [2]),
        ([date(2024, 1, 1), date(2024, 1, 2)], ("2024-01-02",), [1]),
    ],
)
def test_in_wants_one_of_the_values(
    make: Make, values: list[Any], allowed: tuple[Any, ...], rows: list[int]
) -> None:
    assert broken(make, {"x": values}, Rule("in", "x", values=allowed)) == rows


@pytest.mark.parametrize(
    ("values", "keys", "rows"),
    [
        (["a", "b", None, "c"], ["c", "a", "a", None], [2]),
        ([1, 2, 3], [3, 2], [1]),
        ([date(2024, 1, 1)], [date(2024, 1, 2)], [1]),
        ([1], pa.array([], pa.int64()), [1]),
    ],
)
def test_foreign_wants_a_value_of_the_other_table(
    make: Make, values: Any, keys: Any, rows: list[int]
) -> None:
    other = make({"key": keys}, "other.parquet")
    assert broken(make, {"x": values}, Rule("foreign", "x", path=other, key="key")) == rows


def test_rows_are_numbered_through_the_whole_table_and_ten_are_shown(make: Make) -> None:
    rows = 2 * BATCH_ROWS + 100
    path = make({"x": [*range(rows - 50), *[-1] * 50]}, rows_per_group=BATCH_ROWS + 7)
    found = rules.apply(path, [Rule("range", "x", low=0), Rule("unique", "x")])
    assert [fault.rows_affected for fault in found] == [50, 49]
    assert [len(fault.examples) for fault in found] == [10, 10]
    assert found[0].examples[0] == Example(rows - 49, -1)
    assert found[1].examples[0] == Example(rows - 48, -1)


def test_an_empty_table_breaks_no_rule(make: Make) -> None:
    path = make({"x": pa.array([], pa.string())})
    wanted = [Rule("not_null", "x"), Rule("unique", "x"), Rule("in", "x", values=("a",))]
    for fault in rules.apply(path, wanted):
        assert (fault.rows_affected, fault.checked, fault.share) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("between", "n"), "There is no rule 'between'"),
        (Rule("unique", "none"), "no column 'none'"),
        (Rule("unique", "n", columns=("none",)), "no column 'none'"),
        (Rule("unique", "list"), "nested"),
        (Rule("range", "s", low=1), "needs numbers or times"),
        (Rule("range", "n"), "low, high or both"),
        (Rule("range", "n", low="1"), "must be numbers"),
        (Rule("range", "n", low=True), "must be numbers"),
        (Rule("range", "n", low=math.nan), "must be numbers"),
        (Rule("range", "n", low=2, high=1), "nothing could pass"),
        (Rule("range", "d", low="yesterday"), "must be ISO 8601"),
        (Rule("regex", "n", pattern="a"), "needs text"),
        (Rule("regex", "s"), "give a pattern"),
        (Rule("regex", "s", pattern="a" * 1001), "1 to 1000 characters"),
        (Rule("regex", "s", pattern="(?=a)"), "no RE2"),
        (Rule("regex", "s", pattern="a)(b"), "no RE2"),
        (Rule("regex", "s", pattern="((a{1000}){1000}){1000}"), "no RE2"),
        (Rule("in", "n", values=()), "1 to 10000 values"),
        (Rule("in", "n", values=("a",)), "column's type, int64"),
        (Rule("in", "list", values=(1,)), "not compared"),
        (Rule("foreign", "n"), "give path and key"),
    ],
)
def test_a_rule_that_cannot_be_applied_says_why(make: Make, rule: Rule, said: str) -> None:
    path = make({"n": [1], "s": ["a"], "d": [date(2024, 1, 1)], "list": [[1]]})
    with pytest.raises(BadRule, match=said):
        rules.apply(path, [rule])


def test_a_foreign_rule_names_a_column_of_the_same_type(make: Make) -> None:
    other = make({"key": ["a"]}, "other.parquet")
    path = make({"n": [1]})
    with pytest.raises(BadRule, match="int64 is not compared with string"):
        rules.apply(path, [Rule("foreign", "n", path=other, key="key")])
    with pytest.raises(BadRule, match="other table has no column 'id'"):
        rules.apply(path, [Rule("foreign", "n", path=other, key="id")])
