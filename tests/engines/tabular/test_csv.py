"""A CSV file becomes a Parquet table of the narrowest types, or is refused by its row."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from astralytiq.engines.tabular import csv, parquet
from astralytiq.engines.tabular.columns import BadTable

Convert = Callable[[bytes], tuple[dict[str, str], list[dict[str, object]]]]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    def run(content: bytes) -> tuple[dict[str, str], list[dict[str, object]]]:
        source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
        source.write_bytes(content)
        with target.open("wb") as file:
            rows, columns = csv.to_parquet(source, file)
        found = parquet.read_head(target, 100)
        assert len(found) == min(rows, 100)
        return {column.name: column.type for column in columns}, found

    return run


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["1", " 2 ", "-3"], "int64"),
        (["1", "2.5", ""], "float64"),
        (["1", "NA", "null"], "int64"),
        (["true", "False", "n/a"], "bool"),
        (["0", "1", "true"], "string"),
        (["007", "8"], "string"),
        (["0x1F", "8"], "string"),
        (["9223372036854775808", "1"], "string"),
        (["2024-01-31", ""], "date"),
        (["2024-01-31", "2024-01-31 10:00"], "timestamp"),
        (["2024-01-31T10:00:00Z", "2024-01-31T10:00:00"], "timestamp"),
        (["NA", "Namibia"], "string"),
        (["", ""], "string"),
    ],
)
def test_a_column_has_the_narrowest_type_that_holds_its_values(
    convert: Convert, cells: list[str], type_: str
) -> None:
    content = "\n".join(["x,y", *(f"{cell},1" for cell in cells)])
    assert convert(content.encode())[0]["x"] == type_


def test_text_keeps_what_would_be_no_value_among_numbers(convert: Convert) -> None:
    _, rows = convert(b"country,rank\nNA,1\nDE,NA\n")
    assert rows == [{"country": "NA", "rank": 1}, {"country": "DE", "rank": None}]


def test_a_type_that_changes_late_is_seen(convert: Convert) -> None:
    late = b"id,x\n" + b"".join(b"%d,1\n" % n for n in range(1_000_000)) + b"1000000,oops\n"
    assert len(late) > csv.BLOCK_BYTES
    assert convert(late)[0] == {"id": "int64", "x": "string"}


def test_times_are_utc(convert: Convert) -> None:
    _, rows = convert(b"at\n2024-01-31T10:00:00+02:00\n2024-01-31T10:00:00\n")
    assert [str(row["at"]) for row in rows] == [
        "2024-01-31 08:00:00+00:00",
        "2024-01-31 10:00:00+00:00",
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_and_quotes_hold_line_ends(convert: Convert, mark: str) -> None:
    content = f'\ufeffa{mark}b{mark}\n1{mark}"x\ny"{mark}2\n'
    assert convert(content.encode())[1] == [{"a": 1, "b": "x\ny", "column_3": 2}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n", "Row 3: 1 values where the header names 2 columns"),
        (b"a,b\n1,2,3\n", "Row 2: 3 values"),
        (b"a,a\n1,2\n", "Row 1: columns must have different names"),
        (b"a,b\n1,ok\n1,\xff\n", "Row 3: not UTF-8"),
        (b"\xff,b\n1,2\n", "Row 1: not UTF-8"),
        (b'a,b\n1,"x\n2,y\n', "Row 2: a quote is opened and never closed"),
        (b"PK\x03\x04\0\0", "not text"),
    ],
)
def test_a_broken_file_is_refused_by_its_row_and_reason(
    convert: Convert, content: bytes, words: str
) -> None:
    with pytest.raises(BadTable, match=words):
        convert(content)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"a,b\n" + b"1,x\n" * 1000)
    outputs = [io.BytesIO(), io.BytesIO()]
    for output in outputs:
        csv.to_parquet(source, output)
    assert outputs[0].getvalue() == outputs[1].getvalue()


def test_a_row_may_be_longer_than_what_is_read_at_once(convert: Convert) -> None:
    long = b"x" * (2 * csv.BLOCK_BYTES)
    types, rows = convert(b"a,b\n1,y\n2," + long + b"\n")
    assert (types["a"], len(str(rows[1]["b"]))) == ("int64", len(long))
    with pytest.raises(BadTable, match="longer than 8 MB"):
        convert(b"a,b\n1," + b"x" * (2 * csv.LONGEST_ROW) + b"\n2,y\n")
