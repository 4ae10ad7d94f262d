"""How a CSV file is written, as far as its first rows can tell."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 100
NO_NAME = re.compile(r"[-+]?[\d.,]+%?|\d{4}-\d\d-\d\d.*|\d\d?[./]\d\d?[./]\d{2,4}.*", re.ASCII)


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
