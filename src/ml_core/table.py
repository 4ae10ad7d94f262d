"""A CSV file as numbers and labels, read and written with the standard library."""

import csv
import math
from typing import Any, NamedTuple

Columns = dict[str, list[str]]
Features = dict[str, list[float]]


class TableError(ValueError):
    """The file cannot be used; the message says why in one line."""


class Table(NamedTuple):
    """``left_out`` gives for each column that is no feature the reason."""

    features: Features
    labels: list[str] | list[float]
    left_out: dict[str, str]


def read_table(path: str, target: str) -> Table:
    """Read the numeric columns as features and the column ``target`` as labels.

    Raises
    ------
    TableError
        If the file cannot be read as a table, or has no such column, no row or no numeric column.
    """
    columns = read_columns(path)
    if target not in columns:
        raise TableError(f"{path} has no column {target!r}; it has: {', '.join(columns)}")
    labels = _labels(path, target, columns.pop(target))
    features, left_out = numeric_columns(columns)
    if not features:
        raise TableError(f"{path} has no numeric column beside {target!r} to learn from")
    return Table(features, labels, left_out)


def numeric_columns(columns: Columns) -> tuple[Features, dict[str, str]]:
    """The columns of finite numbers, and for each other one why it is none."""
    features: Features = {}
    left_out: dict[str, str] = {}
    for name, cells in columns.items():
        numbers = _numbers(cells)
        if numbers is None:
            left_out[name] = _why_not_numeric(cells)
        else:
            features[name] = numbers
    return features, left_out


def left_out_line(left_out: dict[str, str]) -> list[str]:
    """What a command says of the columns that are no features, if there are any."""
    if not left_out:
        return []
    reasons = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
    return [f"Left out: {reasons}"]


def write_columns(path: str, columns: Columns) -> None:
    """Write the columns as a CSV file.

    Raises
    ------
    TableError
        If the file cannot be written.
    """
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror}") from error


def read_columns(path: str) -> Columns:
    """Read the cells of each column as text; raises what `read_table` raises for the file."""
    try:
        # utf-8-sig drops the mark that spreadsheets put before the first column's name.
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _columns(path, csv.reader(file, strict=True))
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text: save it as such") from error
    except csv.Error as error:
        raise TableError(f"{path} is not a CSV file: {error}") from error


def _columns(path: str, reader: Any) -> Columns:
    names: list[str] = [name.strip() for name in next(reader, [])]
    if not names:
        raise TableError(f"{path} is empty")
    _check_separator(path, names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TableError(f"{path} has two columns named {twice!r}")
    rows: list[list[str]] = []
    n_names = len(names)
    for row in reader:
        if len(row) == n_names:
            rows.append(row)
        elif row:
            raise TableError(
                f"{path}, line {reader.line_num}: {len(row)} cells, but {n_names} column names"
            )
    if not rows:
        raise TableError(f"{path} has no rows below its column names")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _check_separator(path: str, names: list[str]) -> None:
    """Refuse what would be a table of one column, as its commas are something else."""
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and mark in names[0]:
            raise TableError(f"{path} has {word} between its columns: save it with commas instead")


def _labels(path: str, target: str, cells: list[str]) -> list[str] | list[float]:
    empty = sum(not cell.strip() for cell in cells)
    if empty:
        raise TableError(f"{path}: the target column {target!r} is empty in {empty} rows")
    numbers = _numbers(cells)
    if numbers is None:
        return [cell.strip() for cell in cells]
    measured = next((number for number in numbers if number != math.floor(number)), None)
    if measured is not None:
        raise TableError(
            f"{path}: the target column {target!r} must hold classes, as text or whole numbers, "
            f"but it has {measured:g}"
        )
    return numbers


def _numbers(cells: list[str]) -> list[float] | None:
    """All cells as finite numbers, or None."""
    try:
        numbers = list(map(float, cells))
    except ValueError:
        return None
    # Python reads 1_000 as a number; in a data file it is more likely a code.
    if "_" in "".join(cells):
        return None
    # A sum without NaN or infinity has met none; but finite numbers, too, may add up to infinity.
    if not math.isfinite(sum(numbers)) and not all(map(math.isfinite, numbers)):
        return None
    return numbers


def _why_not_numeric(cells: list[str]) -> str:
    filled = [cell for cell in cells if cell.strip()]
    if not filled or len(filled) == len(cells) or _numbers(filled) is None:
        return "not numeric" if filled else "empty"
    return f"empty in {len(cells) - len(filled)} rows"
