"""How a CSV file is written, as far as its first rows can tell."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 100
NO_NAME = re.compile(r"[-+]?[\d.,]+%?|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*", re.ASCII)
# What people put in a table's place, by how it begins: bytes that are no text are lone surrogates.
MARKUP = re.compile(r"\s*<(?:!doctype\s|!--|\?xml\s|(?:html|head|body)[\s>])", re.IGNORECASE)
JSON = re.compile(r'\s*(?:\{\s*"|\[\s*[\[{])')
SIGNS = {
    "PK\x03\x04": "an Excel file, or another archive: save it as CSV",
    "\udcd0\udccf\x11": "an old Excel file: save it as CSV",
    "\xd0\xcf\x11": "an old Excel file: save it as CSV",
    "%PDF-": "a PDF",
    "PAR1": "a Parquet file: a data set takes those",
    "SQLite format 3\x00": "an SQLite database: export its table as CSV",
}


def other_format(lines: Iterable[str], *, has_header: bool) -> str | None:
    """What a file is that would pass for a table of one strange column; None for a table.

    JSON in a cell may well come first, unless that is a name.
    """
    first = next((line for line in lines if not line.isspace()), "")
    if MARKUP.match(first):
        return "a web page, or XML: check where it comes from"
    if has_header and JSON.match(first):
        return "JSON: a source of kind api reads that from its address"
    return next((words for sign, words in SIGNS.items() if first.startswith(sign)), None)


def delimiter_of(lines: Sequence[str], quote: str | None) -> str:
    """What cuts the most rows into the same number of cells, and then into the most cells."""
    return max(DELIMITERS, key=lambda one: evenness(lines, one, quote))


def evenness(lines: Sequence[str], delimiter: str, quote: str | None) -> tuple[float, int]:
    rows = csv.reader(
        lines, delimiter=delimiter, quotechar=quote or '"',
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )  # fmt: skip
    try:
        widths = Counter(len(cells) for cells in islice(rows, SAMPLE) if cells)
    except csv.Error:
        return 0.0, 0
    if not widths:
        return 0.0, 0
    width, count = widths.most_common(1)[0]
    return (count / widths.total(), width) if width > 1 else (0.0, 0)


def quote_of(lines: Sequence[str]) -> str:
    """A double quote, unless there is none and whole cells stand in single ones."""
    text = "".join(lines[:SAMPLE])
    cells = re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|\Z)", text, re.MULTILINE)
    return "'" if '"' not in text and cells else '"'


def names_columns(cells: Sequence[str]) -> bool:
    """Whether a first row is a header: no cell empty, twice, a number or a date."""
    plain = [cell.strip() for cell in cells]
    return len(set(plain)) == len(plain) and all(
        cell and not NO_NAME.fullmatch(cell) for cell in plain
    )
