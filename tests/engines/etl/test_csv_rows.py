"""Rows of CSV texts."""

import io

import pytest

from astralytiq.engines.etl.csv_rows import LONGEST_CELL, CsvRows
from astralytiq.engines.etl.normalise import Broken


def rows_of(text: str, delimiter: str = ",") -> CsvRows:
    return CsvRows(io.StringIO(text, newline=""), delimiter)


def test_rows_come_in_batches_until_there_are_none() -> None:
    rows = rows_of('a,b\r\n1,2\r\n\r\n3,"x\ny"\r\n')
    assert rows.read(1) == [{"a": "1", "b": "2"}]
    assert rows.read(5) == [{"a": "3", "b": "x\ny"}]
    assert (rows.read(5), rows.row) == ([], 2)


def test_ragged_rows_keep_their_place() -> None:
    short, good, long = rows_of("a,b\n1\n2,3\n4,5,6\n").read(9)
    assert good == {"a": "2", "b": "3"}
    assert short == Broken("has 1 cells where the header has 2", {"line": 2, "cells": ["1"]})
    assert isinstance(long, Broken)
    assert long.payload["cells"] == ["4", "5", "6"]


def test_skipping_counts_as_reading_does() -> None:
    text = "a;b\n1;2\n\nragged\n" + "x" * (LONGEST_CELL + 1) + ";y\n3;4\n5;6\n"
    whole, resumed = rows_of(text, ";"), rows_of(text, ";")
    whole.read(4)
    resumed.skip(4)
    assert whole.row == resumed.row == 4
    assert whole.read(9) == resumed.read(9) == [{"a": "5", "b": "6"}]


def test_an_endless_cell_costs_its_row_only() -> None:
    first, last = rows_of("a,b\n" + "x" * (LONGEST_CELL + 1) + ",y\n1,2\n").read(9)
    assert isinstance(first, Broken)
    assert "is not CSV" in first.reason
    assert last == {"a": "1", "b": "2"}


def test_headers_name_the_columns() -> None:
    assert rows_of(" id , ,name\n").header == ["id", "column_2", "name"]
    with pytest.raises(ValueError, match="names a more than once"):
        rows_of("a,b,a\n1,2,3\n")
    with pytest.raises(ValueError, match="no header"):
        rows_of("\n\n")
