"""Tables are read back in parts that JSON can hold."""

import math
from pathlib import Path

import pytest

from astralytiq.engines.tabular import parquet
from astralytiq.engines.tabular.columns import Column
from astralytiq.engines.tabular.records import Row, to_table


def write(path: Path, rows: list[Row], **types: str) -> Path:
    columns = [Column(name, type_) for name, type_ in types.items()]
    with path.open("wb") as file, parquet.ParquetWriter(file, columns) as writer:
        writer.add(to_table(rows, columns))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.parquet"


def test_the_head_has_no_number_that_json_lacks(path: Path) -> None:
    write(path, [{"x": math.inf}, {"x": math.nan}, {"x": 1.5}], x="float64")
    assert parquet.read_head(path, 2) == [{"x": None}, {"x": None}]


def test_columns_keep_their_types(path: Path) -> None:
    types = {"a": "int64", "b": "date", "c": "timestamp", "d": "bool", "e": "string"}
    write(path, [], **types)
    assert {column.name: column.type for column in parquet.read_columns(path)} == types
    assert parquet.read_head(path, 5) == []


def test_a_table_without_dates_has_no_range(path: Path) -> None:
    write(path, [{"x": 1}], x="int64", never="date")
    assert parquet.date_range(path) is None


def test_only_the_columns_asked_for_are_read(path: Path) -> None:
    write(path, [{"a": 1, "b": 2}], a="int64", b="int64")
    assert parquet.read_table(path, ["b"]).column_names == ["b"]
