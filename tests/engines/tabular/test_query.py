"""Chosen rows and figures of groups are those that a plain loop would find."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.tabular.query import BadQuery, Chosen, Condition, Grouped, run

Row = dict[str, Any]

ROWS: list[Row] = [
    {"place": "north", "count": 1, "level": 1.5, "at": datetime(2026, 1, 1, 8, tzinfo=UTC)},
    {"place": "south", "count": 2, "level": 2.5, "at": datetime(2026, 1, 1, 9, tzinfo=UTC)},
    {"place": "north", "count": 3, "level": None, "at": datetime(2026, 1, 2, 8, tzinfo=UTC)},
    {"place": None, "count": 4, "level": float("nan"), "at": datetime(2026, 2, 1, 8, tzinfo=UTC)},
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("query") / "t.parquet", ROWS)


def written(path: Path, rows: list[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


def test_rows_are_chosen_by_conditions(table: Path) -> None:
    found = run(table, Chosen(("place", "count"), (Condition("count", "ge", 2),), limit=2))
    assert found == [{"place": "south", "count": 2}, {"place": "north", "count": 3}]
    assert run(table, Chosen(("count",), (Condition("place", "is_null"),))) == [{"count": 4}]
    for moment in ("2026-01-02T00:00:00", "2026-01-02T00:00:00Z", "2026-01-02T02:00:00+02:00"):
        late = Condition("at", "gt", moment)
        assert [row["count"] for row in run(table, Chosen(("count",), (late,)))] == [3, 4]
    one_of = Condition("place", "in", ["south", "west"])
    assert run(table, Chosen(("count",), (one_of,))) == [{"count": 2}]


def test_what_json_cannot_hold_is_null(table: Path) -> None:
    last = Condition("count", "eq", 4)
    assert run(table, Chosen(("level", "at"), (last,))) == [
        {"level": None, "at": "2026-02-01T08:00:00Z"}
    ]


def test_times_are_cut_to_buckets(table: Path) -> None:
    by_month = Grouped("sum", "count", "at", "month", by_group=True)
    assert run(table, by_month) == [
        {"group": "2026-01-01T00:00:00Z", "value": 6},
        {"group": "2026-02-01T00:00:00Z", "value": 4},
    ]


def test_text_that_says_times_is_cut_as_they_are(tmp_path: Path) -> None:
    said = {
        "2026-01-31": "2026-01-31T00:00:00Z",
        "2026-01-31T08:30:59Z": "2026-01-31T08:30:00Z",
        "2026-01-31 23:30:15.123456-02:30": "2026-02-01T02:00:00Z",
        "2026-03-01T00:10+0200": "2026-02-28T22:10:00Z",
        "2024-02-29T24:00": None,
        "2026-02-30": None,
        "2026-13-01": None,
        "20260131": None,
        "north": None,
        "": None,
        None: None,
    }
    for text, expected in said.items():
        rows: list[Row] = [{"at": text}, {"at": "1999-12-31"}]
        path = written(tmp_path / "t.parquet", rows)
        found = {row["group"] for row in run(path, Grouped("count", None, "at", "minute"))}
        assert found == {expected, "1999-12-31T00:00:00Z"}, text


def test_text_without_any_time_is_told_so(table: Path) -> None:
    with pytest.raises(BadQuery, match="'place' holds text, and none of it is a time as 2026"):
        run(table, Grouped("count", None, "place", "day"))


def test_without_a_group_all_rows_are_one(table: Path) -> None:
    assert run(table, Grouped("count")) == [{"group": "all", "value": 4}]
    assert run(table, Grouped("count", "level")) == [{"group": "all", "value": 3}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Chosen(("nowhere",)), "no column 'nowhere'"),
        (Chosen(("count",), (Condition("nowhere", "eq", 1),)), "no column"),
        (Chosen(("count",), (Condition("count", "eq", "many"),)), "no value of 'count'"),
        (Chosen(("count",), (Condition("count", "eq", None),)), "no value"),
        (Grouped("sum", "place"), "needs numbers"),
        (Grouped("mean"), "needs a column"),
        (Grouped("count", None, "level", "day"), "column of times"),
        (Grouped("count", None, "nowhere"), "no column"),
    ],
)
def test_what_makes_no_sense_is_refused(table: Path, query: Chosen | Grouped, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        run(table, query)


AGGREGATES: dict[str, Callable[[list[int]], float]] = {
    "count": len, "sum": sum, "min": min, "max": max, "mean": lambda v: sum(v) / len(v),
}  # fmt: skip
rows = st.lists(
    st.fixed_dictionaries({"place": st.sampled_from("abc"), "count": st.integers(-9, 9)}),
    min_size=1,
    max_size=30,
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(rows, st.sampled_from(sorted(AGGREGATES)), st.integers(-9, 9))
def test_figures_are_those_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], aggregate: str, least: int
) -> None:
    path = written(tmp_path_factory.mktemp("query") / "t.parquet", rows)
    asked = Grouped(
        aggregate, "count", "place", where=(Condition("count", "ge", least),), by_group=True
    )
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row["count"] >= least:
            groups[row["place"]].append(row["count"])
    expected = {place: AGGREGATES[aggregate](values) for place, values in sorted(groups.items())}
    assert {row["group"]: row["value"] for row in run(path, asked)} == pytest.approx(expected)
