"""Rows of CSV streams."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.etl import blocks, csv_rows
from astralytiq.engines.etl.compressed import Damaged
from astralytiq.engines.etl.csv_rows import LONGEST_CELL, CsvRows, Written
from astralytiq.engines.etl.normalise import Broken


def rows_of(text: str | bytes, **written: Any) -> CsvRows:
    content = text.encode() if isinstance(text, str) else text
    return CsvRows(io.BufferedReader(io.BytesIO(content)), Written(**written))


def reasons(found: Sequence[Any]) -> list[Any]:
    """Good rows as they are, broken ones by their reason."""
    return [row.reason if isinstance(row, Broken) else row for row in found]


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
    assert long.payload == {"line": 4, "cells": ["4", "5", "6"]}


PAGE = b"<!DOCTYPE html><title>Sign in</title><p>Sign in, please</p>"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PAGE, "no CSV but a web page, or XML: check where it comes from"),
        (b"\xef\xbb\xbf\r\n <html lang=en>\n<body>\n</html>", "no CSV but a web page"),
        (PAGE.decode().encode("utf-16"), "no CSV but a web page"),
        (b"<?xml version='1.0'?><rows/>", "no CSV but a web page, or XML"),
        (b'[{"id": 1, "title": "a"}]', "no CSV but JSON: a source of kind api"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00!\x00", "no CSV but an Excel file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "no CSV but an old Excel file"),
        (b"%PDF-1.7\n%\xe2\xe3", "no CSV but a PDF"),
    ],
)
def test_what_is_no_table_is_named_in_place_of_a_column_of_tags(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rows_of(content, encoding="auto")


def test_what_only_looks_like_another_format_is_read() -> None:
    assert rows_of("<TICKER>,<CLOSE>\nA,1\n").read(9) == [{"<TICKER>": "A", "<CLOSE>": "1"}]
    assert rows_of('"<html>",b\n1,2\n').read(9) == [{"<html>": "1", "b": "2"}]
    given = {"header": ["body", "id"], "delimiter": ";", "quote": "none"}
    assert rows_of('{"a": 1};x\n', **given).read(9) == [{"body": '{"a": 1}', "id": "x"}]


@pytest.mark.parametrize("at", range(7))
def test_skipping_counts_as_reading_does(at: int) -> None:
    text = 'a;b\n1;2\n\nragged\n"open;y\n3;4\n"x\n\ny";6\n7;"z"z\n'
    whole, resumed = rows_of(text, delimiter=";"), rows_of(text, delimiter=";")
    before = whole.read(at) if at else []
    resumed.skip(at)
    assert whole.row == resumed.row == len(before) == min(at, 6)
    assert whole.read(9) == resumed.read(9)


@pytest.fixture
def narrow() -> Iterator[None]:
    usual = csv.field_size_limit(1000)
    yield
    csv.field_size_limit(usual)


@pytest.mark.usefixtures("narrow")
def test_an_endless_cell_costs_its_row_only() -> None:
    text = "a,b\n" + "x" * 1001 + ',y\n1,"' + "2,3\n" * 1001 + "4,5\n"
    found = rows_of(text).read(2000)
    assert "is not CSV: field larger than" in reasons(found)[0]
    assert "never closed" in reasons(found)[1]
    assert reasons(found)[2:] == [{"a": "2", "b": "3"}] * 1000 + [{"a": "4", "b": "5"}]


def test_a_cell_of_ten_megabytes_is_a_cell() -> None:
    (row,) = rows_of('a,b\n1,"' + "x" * (10 << 20) + '"\n').read(9)
    assert isinstance(row, dict)
    assert len(row["b"]) == 10 << 20


def test_a_quote_that_is_never_closed_costs_its_line_only() -> None:
    found = rows_of('a,b\n1,"open\n2,x\n3,y\n').read(9)
    assert reasons(found) == [
        "opens a quote that is never closed", {"a": "2", "b": "x"}, {"a": "3", "b": "y"},
    ]  # fmt: skip
    assert isinstance(found[0], Broken)
    assert found[0].payload == {"line": 2, "text": '1,"open\n'}


def test_a_quote_closed_by_the_next_one_swallows_nothing() -> None:
    found = rows_of('a,b\n1,"open\n2,x\n3,"y"\n4,"say ""hi"", you\nthere"\n').read(9)
    assert reasons(found) == [
        "opens a quote that is never closed",
        {"a": "2", "b": "x"},
        {"a": "3", "b": "y"},
        {"a": "4", "b": 'say "hi", you\nthere'},
    ]


def test_text_behind_a_closed_quote_stays() -> None:
    assert rows_of('a,b\n"5" pipe,x\n').read(9) == [{"a": "5 pipe", "b": "x"}]


def test_a_batch_may_have_any_size_and_finds_the_same_rows() -> None:
    lines = [f'{at},"open' if at % 7 == 3 else f'{at},"v\n{at}"' for at in range(60)]
    text = "a,b\n" + "\n".join(lines) + "\n"
    whole = rows_of(text).read(10_000)
    for size in (1, 2, 9):
        rows, found = rows_of(text), list[Any]()
        while some := rows.read(size):
            found += some
        assert found == whole


def test_a_large_batch_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LARGEST_BATCH", 1 << 18)
    rows = rows_of("a,b\n" + "".join(f"{at},{'x' * 1000}\n" for at in range(2000)))
    sizes = []
    while some := rows.read(10_000):
        sizes.append(len(some))
    assert len(sizes) > 3
    assert sum(sizes) == 2000


def test_headers_name_the_columns() -> None:
    assert rows_of(" id , ,name\n").header == ["id", "column_2", "name"]
    with pytest.raises(ValueError, match="names a more than once"):
        rows_of("a,b,a\n1,2,3\n")
    with pytest.raises(ValueError, match="no header"):
        rows_of("\n\n")
    with pytest.raises(ValueError, match="NUL characters: set the encoding"):
        rows_of("a,b\n1,2\n".encode("utf-16-le"))


def test_columns_can_be_given_or_counted() -> None:
    assert rows_of("1,2\n", header=["x", "y"]).read(9) == [{"x": "1", "y": "2"}]
    assert rows_of("1,2\n3,4\n", header=False).read(9) == [
        {"column_1": "1", "column_2": "2"}, {"column_1": "3", "column_2": "4"},
    ]  # fmt: skip
    broken_first = rows_of('"open\n1,2\n', header=False)
    assert reasons(broken_first.read(9))[1] == {"column_1": "1", "column_2": "2"}


@pytest.mark.parametrize(
    ("first", "is_header"),
    [
        ("id,name", True),
        ("7,name", False),
        ("id,", False),
        ("id,id", False),
        ("id,2026-01-31", False),
    ],
)
def test_a_header_can_be_told_from_a_row(first: str, is_header: bool) -> None:
    rows = rows_of(first + "\n1,x\n", header="auto")
    assert rows.header == (["id", "name"] if is_header else ["column_1", "column_2"])
    assert len(rows.read(9)) == (1 if is_header else 2)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected(delimiter: str) -> None:
    text = 'id,name,"a;b|c"\n1,"x, y; z",4\n2,"p|q,r",5\n'.replace(",", delimiter)
    rows = rows_of(text, delimiter="auto")
    assert rows.header[:2] == ["id", "name"]
    assert not any(isinstance(row, Broken) for row in rows.read(9))
    assert len(rows.header) == 3


def test_quotes_are_detected_or_taken_as_text() -> None:
    single = "a,b\n1,'x, y'\n"
    assert rows_of(single, quote="auto").read(9) == [{"a": "1", "b": "x, y"}]
    assert rows_of("a,b\n1,it's\n", quote="auto").read(9) == [{"a": "1", "b": "it's"}]
    assert rows_of('a,b\n1,5"\n2,"x\n', quote="none").read(9) == [
        {"a": "1", "b": '5"'}, {"a": "2", "b": '"x'},
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_names_the_encoding(encoding: str) -> None:
    rows = rows_of("id,name\n1,Grün\n".encode(encoding), encoding="auto")
    assert rows.read(9) == [{"id": "1", "name": "Grün"}]


def test_rows_that_are_not_in_the_encoding_are_set_aside() -> None:
    found = rows_of(b"id,name\n1,Gr\xc3\xbcn\n2,Gr\xfcn\n3,x\n", encoding="utf-8").read(9)
    assert [isinstance(row, Broken) for row in found] == [False, True, False]
    assert isinstance(found[1], Broken)
    assert found[1].reason.startswith("is not written in utf-8: set the source's encoding")
    assert found[1].payload == {"line": 3, "cells": ["2", "Gr\\xfcn"]}


def test_mixed_encodings_are_read_row_by_row() -> None:
    found = rows_of(b"id,name\n1,Gr\xc3\xbcn\n2,Gr\xfcn\n3,\x81\n", encoding="auto").read(9)
    assert reasons(found) == [
        {"id": "1", "name": "Grün"},
        {"id": "2", "name": "Grün"},
        "is written neither in utf-8 nor in cp1252",
    ]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_byte_that_is_no_text_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    """Where its line has only begun, and the lines before it are all good."""
    monkeypatch.setattr(blocks, "BLOCK", 8)
    if not compiled:
        monkeypatch.setattr(csv_rows, "compiled_csv", lambda *_: None)
    rows = rows_of(b"a\n1\n\xff45678901\n2\n", encoding="utf-8")
    assert rows.read(1) == [{"a": "1"}]
    assert "is not written in utf-8" in reasons(rows.read(1))[0]
    assert rows.read(1) == [{"a": "2"}]


class Breaking:
    """Gives its parts one by one, and breaks."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = list(parts)

    def read1(self, _size: int, /) -> bytes:
        if not self._parts:
            raise Damaged("it broke")
        return self._parts.pop(0)


@pytest.mark.parametrize("parts", [(b"a\n1\r2",), (b"a\n1\r", b"2"), (b"a\n1", b"\r2")])
def test_whole_lines_before_damage_count_however_they_come(parts: tuple[bytes, ...]) -> None:
    rows = CsvRows(Breaking(*parts), Written())
    assert rows.read(9) == [{"a": "1"}]
    with pytest.raises(Damaged):
        rows.read(9)


def test_an_empty_stream_has_no_rows() -> None:
    assert rows_of("").read(9) == []
    assert rows_of("\ufeff").read(9) == []


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["utf-8", "auto", "utf-16", "shift_jis"]))
def test_no_bytes_can_do_more_than_break_rows(content: bytes, encoding: str) -> None:
    rows = rows_of(b"a,b\n" + content, encoding=encoding, header=["a", "b"])
    found = list[Any]()
    while some := rows.read(3):
        found += some
    for row in found:
        str(row.payload if isinstance(row, Broken) else row).encode()
    assert rows.row == len(found)


def test_a_line_that_never_ends_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("astralytiq.engines.etl.lines.LONGEST_LINE", 1 << 18)
    found = rows_of("a\n1\n" + "x" * (LONGEST_CELL // 8) + "\n2\n").read(99)
    assert found[0] == {"a": "1"}
    assert found[-1] == {"a": "2"}
    assert len(found) > 4
