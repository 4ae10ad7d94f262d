"""Objects with any keys become one table."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from astralytiq.engines.tabular.parquet import ROWS_PER_GROUP, ParquetWriter
from astralytiq.engines.tabular.records import Discovery, Row, to_table

NOTHING_ALWAYS: frozenset[str] = frozenset()


def discover(*values: Any) -> str:
    found = Discovery()
    found.see([{"x": value} for value in values])
    (column,) = found.columns((), NOTHING_ALWAYS)
    return column.type


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ((1, None), "int64"),
        ((1, 2.5), "float64"),
        ((True, False), "bool"),
        ((True, 1), "string"),
        ((1, "a"), "string"),
        ((1 << 63,), "string"),
        (([1], {"a": 1}), "string"),
        ((datetime.now(UTC),), "timestamp"),
        ((None,), "string"),
    ],
)
def test_a_column_holds_all_values_of_its_key(values: tuple[Any, ...], type_: str) -> None:
    assert discover(*values) == type_


def test_mixed_values_are_written_as_text() -> None:
    rows: list[Row] = [{"x": 1}, {"x": True}, {"x": "a"}, {"x": {"b": [None], "a": "ö"}}, {}]
    found = Discovery()
    found.see(rows)
    table = to_table(rows, found.columns((), NOTHING_ALWAYS))
    assert table["x"].to_pylist() == ["1", "true", "a", '{"a":"ö","b":[null]}', None]


def test_columns_come_in_one_order_however_the_keys_were_met() -> None:
    found = Discovery()
    found.see([{"b": 1, "title": "t", "url": None}, {"a": 1, "id": 1}])
    names = [column.name for column in found.columns(("id", "title", "url"), frozenset({"id"}))]
    assert names == ["id", "title", "a", "b"]


def test_however_the_parts_are_cut_the_same_bytes_come_out() -> None:
    rows = [{"n": number, "s": f"text {number % 7}"} for number in range(ROWS_PER_GROUP + 10)]
    found = Discovery()
    found.see(rows)
    columns = found.columns((), NOTHING_ALWAYS)
    files = []
    for size in (len(rows), 10_000, 777):
        file = io.BytesIO()
        with ParquetWriter(file, columns) as writer:
            for start in range(0, len(rows), size):
                writer.add(to_table(rows[start : start + size], columns))
        assert writer.rows == len(rows)
        files.append(file.getvalue())
    assert files[0] == files[1] == files[2]
