"""Parquet, JSON Lines and XLSX become the same tables that CSV becomes, or are refused by place."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from astralytiq.engines.tabular import foreign_parquet, formats, jsonl, parquet, xlsx
from astralytiq.engines.tabular.columns import BadTable, OtherKind, TooMuch

MOST = 1 << 30
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
Convert = Callable[[str, bytes], tuple[dict[str, str], list[dict[str, Any]]]]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    def run(name: str, content: bytes) -> tuple[dict[str, str], list[dict[str, Any]]]:
        source, target = tmp_path / "sent", tmp_path / "out.parquet"
        source.write_bytes(content)
        kind = formats.told(source, name)
        with target.open("wb") as file:
            rows, columns = formats.to_parquet(kind, source, file, MOST)
        found = parquet.read_head(target, 100)
        assert len(found) == min(rows, 100)
        return {column.name: column.type for column in columns}, found

    return run


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, **options)
    return content.getvalue()


def as_xlsx(*rows: Sequence[Any], first_hidden: bool = False) -> bytes:
    book = Workbook()
    sheet = book.active
    if first_hidden:
        sheet.append(["hidden"])
        sheet.sheet_state = "hidden"
        sheet = book.create_sheet("shown")
    for row in rows:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


# Which kind it is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("A.TSV", b"a\tb\n1\t2\n", "csv"),
        ("a", b"a,b\n1,2\n", "csv"),
        ("a.txt", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("a.txt", b"{a},b\n1,2\n", "csv"),
        ("a.ndjson", b'\xef\xbb\xbf{"a": 1}', "jsonl"),
        ("a.csv", b'{"a": 1},b\n1,2\n', "csv"),
        ("a.jsonl", b"", "jsonl"),
        ("a.parquet", as_parquet(pa.table({"a": [1]})), "parquet"),
        ("a.xlsx", as_xlsx(["a"], [1]), "xlsx"),
    ],
)
def test_a_kind_is_told_by_content_and_name(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    source = tmp_path / "sent"
    source.write_bytes(content)
    assert formats.told(source, name) == kind


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", as_parquet(pa.table({"a": [1]})), "parquet by its content"),
        ("a.parquet", b"a,b\n1,2\n", "csv by its content"),
        ("a.xlsx", b"a,b\n1,2\n", "named with .xlsx"),
        ("a.jsonl", as_xlsx(["a"], [1]), "xlsx by its content"),
        ("a", as_parquet(pa.table({"a": [1]})), "no suffix"),
        ("a.csv", gzip.compress(b"a,b\n1,2\n"), "gzip"),
        ("a.csv", b"%PDF-1.7 x", "PDF"),
        ("a.pkl", b"\x80\x05K\x01.", ".pkl files are not read"),
        ("a.csv", b"\x80\x05K\x01.", "a pickle"),
    ],
)
def test_a_name_that_does_not_fit_and_other_kinds_are_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    source = tmp_path / "sent"
    source.write_bytes(content)
    with pytest.raises(OtherKind, match=words):
        formats.told(source, name)


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "sent"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("../../etc/passwd", "x")
    with pytest.raises(OtherKind, match="ZIP archive"):
        formats.told(source, "a.xlsx")


# JSON Lines -------------------------------------------------------------------------------------


def test_lines_have_all_columns_in_the_order_they_were_met(convert: Convert) -> None:
    lines = [
        {"b": 1, "a": "x", "day": "2024-01-31", "at": "2024-01-31T12:00:00Z"},
        {"b": 2.5, "c": {"k": [1, "ü"]}, "at": "2024-01-31T13:00:00+01:00", "big": 1 << 70},
        {"flag": True, "none": None},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines)
    types, rows = convert("a.jsonl", text.encode())
    assert list(types.items()) == [
        ("b", "float64"),
        ("a", "string"),
        ("day", "date"),
        ("at", "timestamp"),
        ("c", "string"),
        ("big", "string"),
        ("flag", "bool"),
        ("none", "string"),
    ]
    assert rows[0]["day"] == date(2024, 1, 31)
    assert rows[0]["at"] == rows[1]["at"] == NOON
    assert rows[1]["c"] == '{"k":[1,"ü"]}'
    assert (rows[0]["b"], rows[2]["b"], rows[1]["big"]) == (1.0, None, str(1 << 70))


def test_text_that_is_a_time_only_at_first_stays_text(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "BATCH_ROWS", 2)
    values = ["2024-01-31", "2024-02-01", "2024-02-01T10:00:00", None, "later"]
    text = "\n".join(json.dumps({"at": value}) for value in values)
    types, rows = convert("a.jsonl", text.encode())
    assert (types, [row["at"] for row in rows]) == ({"at": "string"}, values)
    text = "\n".join(json.dumps({"at": value}) for value in values[:-1])
    assert convert("a.jsonl", text.encode())[0] == {"at": "timestamp"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"{}\n{}", "no column"),
        (b'{"a": 1}\n\n{"a": }\n', "Line 3: no JSON"),
        (b'{"a": 1}\n[1, 2]\n', "Line 2: no object"),
        (b'{"a": NaN}\n', "Line 1: no JSON"),
        (b'{"a": "\xff"}\n', "Line 1: no JSON"),
        (b'{"a": ' + b"[" * 5000, "Line 1: n"),
        (b'{"a\\u0000": 1}\n', "control characters"),
        (b'{"a": "' + b"x" * jsonl.LONGEST_LINE + b'"}', "Line 1: longer than 16 MB"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_by_their_number(
    convert: Convert, content: bytes, words: str
) -> None:
    with pytest.raises(BadTable, match=words):
        convert("a.jsonl", content)


def test_22_columns_are_bounded(convert: Convert) -> None:
    lines = "\n".join(json.dumps({f"c{number}": 1}) for number in range(10_001))
    with pytest.raises(BadTable, match="a table may have 10,000"):
        convert("a.jsonl", lines.encode())


# Parquet ----------------------------------------------------------------------------------------


def test_the_types_of_others_become_ours(convert: Convert) -> None:
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int8()),
            "unsigned": pa.array([1, 2], pa.uint64()),
            "half": pa.array([1.5, None], pa.float32()),
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
            "exact": pa.array([Decimal("1.25"), None], pa.decimal128(30, 2)),
            "word": pa.array(["a", None], pa.large_string()),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "at": pa.array([NOON, None], pa.timestamp("ns", "Europe/Berlin")),
            "naive": pa.array([NOON.replace(tzinfo=None), None], pa.timestamp("ms")),
            "day": pa.array([date(2024, 1, 31), None], pa.date64()),
            "nested": pa.array([{"k": [1]}, None]),
            "nothing": pa.nulls(2),
        }
    )
    types, (row, other) = convert("a.parquet", as_parquet(table))
    assert types == {
        "small": "int64",
        "unsigned": "int64",
        "half": "float64",
        "price": "float64",
        "exact": "string",
        "word": "string",
        "kind": "string",
        "at": "timestamp",
        "naive": "timestamp",
        "day": "date",
        "nested": "string",
        "nothing": "string",
    }
    assert (row["at"], row["naive"], row["day"]) == (NOON, NOON, date(2024, 1, 31))
    assert (row["price"], row["exact"], row["nested"]) == (1.25, "1.25", '{"k":[1]}')
    assert {name for name, value in other.items() if value is not None} == {"unsigned", "kind"}


def test_our_own_parquet_comes_back_byte_for_byte(tmp_path: Path) -> None:
    source, first, second = (tmp_path / name for name in ("a.csv", "1.parquet", "2.parquet"))
    lines = (f"{n},{n / 8},name {n % 100},2024-01-{1 + n % 28:02}\n" for n in range(70_000))
    source.write_text("id,x,name,day\n" + "".join(lines))
    for kind, before, after in (("csv", source, first), ("parquet", first, second)):
        with after.open("wb") as file:
            formats.to_parquet(formats.Format(kind), before, file, MOST)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1" + b"\0" * 100 + b"PAR1", "damaged"),
        (as_parquet(pa.table({"a": [1, 2]}))[:-9], "damaged"),
        (as_parquet(pa.table({"a": pa.array([], pa.int64())})), "no rows"),
        (as_parquet(pa.table({"a": [b"x"]})), "column 'a' holds bytes"),
        (as_parquet(pa.table({"a": pa.array([1 << 63], pa.uint64())})), "'a' holds a value"),
    ],
)
def test_parquet_that_cannot_be_read_is_refused(
    convert: Convert, content: bytes, words: str
) -> None:
    with pytest.raises(BadTable, match=words):
        convert("a.parquet", content)


def test_22_few_bytes_that_stand_for_very_many_are_not_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "bomb.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["x" * 100_000])
    pq.write_table(pa.table({"a": text}), source, compression="zstd")
    assert source.stat().st_size < 100_000  # and 100 GB of text
    with (tmp_path / "out").open("wb") as file, pytest.raises(TooMuch, match="unpacks to more"):
        foreign_parquet.to_parquet(source, file, MOST)
    pq.write_table(pa.table({"a": list(range(100_000))}), source)
    with (tmp_path / "out").open("wb") as file, pytest.raises(TooMuch, match="unpacks to more"):
        foreign_parquet.to_parquet(source, file, 1 << 10)


# XLSX -------------------------------------------------------------------------------------------


def test_the_first_visible_sheet_becomes_a_table(convert: Convert) -> None:
    day, at = NOON.replace(hour=0, tzinfo=None), NOON.replace(tzinfo=None)
    content = as_xlsx(
        [],
        ["id", "price", "name", "day", "at", "ok", None, "quota"],
        [1, 1.5, 'a,"b"\nc', day, at, True, "x", "#DIV/0!"],
        [],
        [2, 3, None, day, day, False],
        first_hidden=True,
    )
    types, rows = convert("a.xlsx", content)
    assert types == {
        "id": "int64",
        "price": "float64",
        "name": "string",
        "day": "date",
        "at": "timestamp",
        "ok": "bool",
        "column_7": "string",
        "quota": "string",
    }
    assert rows[0] == {
        "id": 1,
        "price": 1.5,
        "name": 'a,"b"\nc',
        "day": date(2024, 1, 31),
        "at": NOON,
        "ok": True,
        "column_7": "x",
        "quota": None,
    }
    assert (rows[1]["name"], rows[1]["ok"], rows[1]["column_7"]) == (None, False, None)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "first sheet is empty"),
        ([["a", "b"]], "no rows"),
        ([["a", "a"], [1, 2]], "Row 1: columns must have different names"),
        ([["a", "b"], [1, 2], [1, 2, 3]], "Row 3: 3 values where the header names 2 columns"),
    ],
)
def test_sheets_that_are_no_table_are_refused_by_row(
    convert: Convert, rows: list[list[Any]], words: str
) -> None:
    with pytest.raises(BadTable, match=words):
        convert("a.xlsx", as_xlsx(*rows))


def test_a_damaged_workbook_is_refused(convert: Convert) -> None:
    content = as_xlsx(["a"], [1])
    with pytest.raises(BadTable, match="damaged"):
        convert("a.xlsx", content[:-30])
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("xl/workbook.xml", "<")
    with pytest.raises(BadTable, match="damaged"):
        convert("a.xlsx", broken.getvalue())


def test_22_a_workbook_that_swells_is_not_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"\0" * (20 << 20))
    with pytest.raises(TooMuch, match="300 times"):
        xlsx.refuse_bomb(source, MOST)
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(xlsx.MOST_ENTRIES + 1):
            archive.writestr(f"xl/{number}", "")
    with pytest.raises(TooMuch, match="parts"):
        xlsx.refuse_bomb(source, MOST)


def test_22_a_sheet_that_takes_too_much_memory_ends_a_process_and_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of a million cells: the reader holds a whole row as a tree."""
    source, plain = tmp_path / "wide.xlsx", as_xlsx(["a"], [1])
    cells = "".join(f'<c r="A1"><v>{n}</v></c>' for n in range(3_000_000))
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f'<sheetData><row r="1">{cells}</row></sheetData></worksheet>'
    )
    with (
        zipfile.ZipFile(io.BytesIO(plain)) as old,
        zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for one in old.namelist():
            new.writestr(one, sheet if "sheet1" in one else old.read(one))
    with (tmp_path / "out").open("wb") as file, pytest.raises(BadTable, match="too wide"):
        xlsx.to_parquet(source, file, MOST)
