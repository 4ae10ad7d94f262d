"""Rows of CSV streams, by the compiled kernel as by Python alone."""

import csv
import io
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astralytiq.engines.etl import blocks, compiled_csv, csv_rows, lines
from astralytiq.engines.etl.compiled_csv import CompiledCsv
from astralytiq.engines.etl.compressed import Damaged
from astralytiq.engines.etl.csv_rows import CsvRows, Written
from astralytiq.engines.etl.payloads import Payloads

PARTS = [
    b"a", b"1", b",", b",", b",", b";", b'"', b'""', b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b"\\",
    b"1,2\n", b"3,4\r\n", b'"x","y"\n', b'5,"6\n7"\n', b'"8,9\r\n","say ""hi"""\r\n', b"\t", b"'",
    b"longer,than a word\n", b"\x1f", b"\x0b", b"\x7f", "ü".encode(), "€".encode(), "😀".encode(),
    "\u2028".encode(), b"\xef\xbb\xbf", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe0\x80\x80",
    b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xc1\xbf",
]  # fmt: skip
WRITTEN = st.builds(
    Written,
    st.sampled_from(["utf-8", "utf-8-sig", "auto"]),
    st.sampled_from([",", ",", ",", ";", "\t", "\\", "1"]),
    st.sampled_from(['"', '"', '"', "'", "none", "auto"]),
    st.sampled_from([["a", "b"], ["a", "b"], True, False, "auto", ["x"], ['"q"', "é", "\n"]]),
)


class Coming:
    """A stream whose bytes come in parts of any size; it may break where it should end."""

    def __init__(self, content: bytes, seed: int, breaks: bool) -> None:
        self._content = io.BytesIO(content)
        self._chance = random.Random(seed)
        self._breaks = breaks

    def read1(self, size: int, /) -> bytes:
        found = self._content.read(self._chance.randint(1, size))
        if self._breaks and not found:
            raise Damaged("it broke")
        return found


def rows_of(text: str, written: Written) -> CsvRows:
    content = io.BytesIO(text.encode(written.encoding))
    return CsvRows(io.BufferedReader(content), written)


def found_in(stream: Coming, written: Written, sizes: random.Random, skip: int = 0) -> list[Any]:
    """All that can be seen of the rows."""
    seen: list[Any] = []
    try:
        rows = CsvRows(stream, written)
        rows.skip(skip)
        seen += [rows.header, rows.row]
        while some := rows.read(sizes.choice((1, 2, 3, 50))):
            seen += some
        seen.append(rows.row)
    except ValueError as fault:
        seen.append((type(fault), str(fault)))
    return seen


@pytest.fixture
def cell_limit() -> Iterator[None]:
    usual = csv.field_size_limit()
    yield
    csv.field_size_limit(usual)


@pytest.mark.usefixtures("cell_limit")
@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join), WRITTEN)
def test_the_same_rows_are_found_as_by_python(data: Any, content: bytes, written: Written) -> None:
    def one_of(*values: int) -> int:
        drawn: int = data.draw(st.sampled_from(values))
        return drawn

    seed, skip = data.draw(st.integers(0, 999)), one_of(0, 0, 1, 4)
    breaks = data.draw(st.booleans())
    content += b"x" * breaks  # A broken stream's last line is lost, however it ends.
    csv.field_size_limit(one_of(4, 1 << 20, 1 << 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", one_of(1, 2, 3, 8, 1000))
        patch.setattr(blocks, "PIECE", one_of(1, 5, 1000))
        patch.setattr(lines, "LONGEST_LINE", one_of(9, 1 << 20, 1 << 20))
        patch.setattr(csv_rows, "LARGEST_BATCH", one_of(20, 1 << 20))
        patch.setattr(csv_rows, "FEWER", one_of(1, 2, 100))
        patch.setattr(compiled_csv, "ROOM", one_of(30, 200, 1 << 20))
        patch.setattr(compiled_csv, "MOST_TEXTS", one_of(1, 1000))
        patch.setattr(compiled_csv, "SLICE", one_of(1, 3, 250))
        quick = found_in(Coming(content, seed, breaks), written, random.Random(seed), skip)
        patch.setattr(csv_rows, "compiled_csv", lambda *_: None)
        known = found_in(Coming(content, seed, breaks), written, random.Random(seed + 1), skip)
    assert quick == known


NO_TEXT = [
    b"\xff", b"\x80", b"\xc3", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xe2\x82", b"\xed\xa0\x80",
    b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98", b"\xf0\x9f\x98x", b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80", b"\xff2\xff",
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 8, 1000])
@pytest.mark.parametrize("quote", ['"', "none"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"1,2\n3," + bad + b"\n" + bad + b"y,4\n5,6\n" for bad in NO_TEXT),
        b"1,2\r\n3,4\r5,6\n\r\n\r\rragged\r\n",
        b'1,"x\ny"\n2,"x\r\ny"\r\n3,"x\ry"\r4,"\n\r\n\n"\nragged\n',
        b'1,"two ""words"""\n2,""""\n3,""\n"",""\n4,a "word"\n5,"a"b\n6,"open\n7,8\n',
        b'1,"last"',
        b'1,"never closed',
        b"1,",
        b"1,2\r",
        b"1,2\xc3",
    ],
)
def test_they_are_so_wherever_a_block_ends(
    content: bytes, quote: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written("utf-8", quote=quote, header=["a", "b"])
    monkeypatch.setattr(blocks, "BLOCK", size)
    monkeypatch.setattr(csv_rows, "FEWER", 1)
    chance = random.Random(1)
    quick = found_in(Coming(content, 1, False), written, chance)
    monkeypatch.setattr(csv_rows, "compiled_csv", lambda *_: None)
    assert quick == found_in(Coming(content, 1, False), written, chance)


@given(st.lists(st.text(max_size=9), min_size=2, max_size=2, unique=True), st.text(max_size=20))
@example(["\x1f\x7f", "\u2028"], "\x01\b\t\n\v\f\r\x1b\"\\/'")
def test_texts_are_written_as_they_are_kept(header: list[str], cell: str) -> None:
    cells = [[cell, "1"], [cell, cell]]
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(cells)
    found = rows_of(file.getvalue(), Written("utf-8", header=header)).read(9)
    assert isinstance(found, Payloads)
    assert found.texts == Payloads.of([dict(zip(header, row, strict=True)) for row in cells]).texts


def test_plain_rows_never_become_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CsvRows, "_next", None)
    text = "id,name\n" + "".join(f'{at},"Ü, {at}"\r\n' for at in range(40_000))
    rows = rows_of(text, Written())
    found = rows.read(30_000)
    assert isinstance(found, Payloads)
    assert found[29_999] == {"id": "29999", "name": "Ü, 29999"}
    rows.skip(5_000)
    assert rows.read(1) == [{"id": "35000", "name": "Ü, 35000"}]


def test_what_is_unusual_costs_its_surroundings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand: list[int] = []

    def watched(rows: CsvRows, most: int) -> Any:
        found = unwatched(rows, most)
        by_hand.append(len(found))
        return found

    unwatched = CsvRows._next
    monkeypatch.setattr(CsvRows, "_next", watched)
    text = "id,name\n" + "".join(f"{at},x{',' * (at == 9000)}\n" for at in range(20_000))
    rows = rows_of(text, Written())
    found = rows.read(30_000)
    assert isinstance(found, Payloads)
    assert len(found) == 20_000
    assert found[9000].reason == "has 3 cells where the header has 2"
    assert found[19_999] == {"id": "19999", "name": "x"}
    assert sum(by_hand) == csv_rows.FEWER


def test_the_kernel_is_seldom_asked_where_nothing_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def watched(compiled: CompiledCsv, *given: Any, **named: Any) -> Any:
        found = unwatched(compiled, *given, **named)
        asked.append(len(found.payloads))
        return found

    unwatched = CompiledCsv.take
    monkeypatch.setattr(CompiledCsv, "take", watched)
    text = "id,name\n" + "1,2,3\n" * 20_000 + "1,2\n" * 20_000
    rows = rows_of(text, Written())
    assert len(rows.read(40_000)) == 40_000
    assert len([found for found in asked if not found]) < 20
    assert sum(asked) > 20_000 - csv_rows.LONGEST_TURN


@pytest.mark.parametrize(
    "written",
    [
        Written("cp1252"),
        Written(delimiter="§"),
        Written(delimiter='"'),
        Written(header=["a", "a"]),
        Written(header=["a", "\udcff"]),
    ],
)
def test_what_the_kernel_cannot_read_python_reads(written: Written) -> None:
    text = "a,b\n1,2\n".replace(",", written.delimiter)
    assert isinstance(rows_of(text, written).read(9), list)
