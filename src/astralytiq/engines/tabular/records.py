"""Records (objects with any keys) into a table: first learn all columns, then convert."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .columns import Column, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]
INT64 = range(-(1 << 63), 1 << 63)


class Discovery:
    """Learns which columns many rows have, and the narrowest type that holds all their values."""

    def __init__(self) -> None:
        self.rows = 0
        self._types: dict[str, str] = {}

    def see(self, rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        for row in rows:
            for name, value in row.items():
                known = self._types.get(name, "")
                if known != "string":
                    self._types[name] = widened(known, type_of(value))

    def columns(self, first: Sequence[str], always: frozenset[str]) -> list[Column]:
        """`first` in their order, unless empty and not in `always`; then the rest by name.

        The order in which keys were met is no guide: PostgreSQL keeps objects in its own.
        """
        kept = [name for name in first if self._types.get(name) or name in always]
        rest = sorted(name for name in self._types if name not in first)
        return [Column(name, self._types.get(name) or "string") for name in kept + rest]


def type_of(value: Any) -> str:
    """Of one value; "" for None, which fits every type."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if value in INT64 else "string"  # As a float it would lose digits.
    if isinstance(value, float):
        return "float64"
    return "timestamp" if isinstance(value, datetime) else "string"


def widened(known: str, new: str) -> str:
    if known == new or not new:
        return known
    if not known:
        return new
    return "float64" if {known, new} == {"int64", "float64"} else "string"


def to_table(rows: Sequence[Row], columns: list[Column]) -> "pa.Table":
    import pyarrow as pa

    schema = arrow_schema(columns)
    arrays = [
        pa.array([fitted(row.get(column.name), column.type) for row in rows], field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def fitted(value: Any, type_: str) -> Any:
    if value is None:
        return None
    if type_ == "float64":
        return float(value)
    return as_text(value) if type_ == "string" else value


def as_text(value: Any) -> str:
    """Text stays as it is; anything else is written as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
