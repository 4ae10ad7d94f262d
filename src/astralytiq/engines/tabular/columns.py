"""The types a column may have, under names that do not depend on the library behind them."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NUMERIC = frozenset({"int64", "float64", "bool"})
DATES = frozenset({"date", "timestamp"})
MOST_COLUMNS = 10_000
LONGEST_NAME = 500
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Column:
    name: str
    type: str


class BadTable(Exception):
    """The data cannot be read as a table. The message says where, why and what to do."""


class TooMuch(BadTable):
    """It would become more than may be held."""


class OtherKind(BadTable):
    """The file is of a kind that is not read, or not of the kind that its name says."""


def checked_names(given: Sequence[str], where: str) -> list[str]:
    """Trimmed; `column_3` for the third if it has none. They must differ, and be a line each."""
    if len(given) > MOST_COLUMNS:
        raise BadTable(f"{where}: {len(given):,} columns; a table may have {MOST_COLUMNS:,}.")
    names = [name.strip() or f"column_{place}" for place, name in enumerate(given, start=1)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadTable(f"{where}: columns must have different names; {twice[:5]} come twice.")
    if odd := [name for name in names if CONTROL.search(name) or len(name) > LONGEST_NAME]:
        raise BadTable(
            f"{where}: the column name {odd[0][:40]!r} holds control characters or is longer than "
            f"{LONGEST_NAME} characters: rename it."
        )
    return names


def arrow_types() -> "dict[str, pa.DataType]":
    import pyarrow as pa

    return {
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "string": pa.string(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }


def arrow_schema(columns: list[Column]) -> "pa.Schema":
    import pyarrow as pa

    types = arrow_types()
    return pa.schema([pa.field(column.name, types[column.type]) for column in columns])


def columns_of(schema: "pa.Schema") -> list[Column]:
    names = {arrow: name for name, arrow in arrow_types().items()}
    return [Column(field.name, names[field.type]) for field in schema]
