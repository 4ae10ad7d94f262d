"""The types a column may have, under names that do not depend on the library behind them."""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

NUMERIC = frozenset({"int64", "float64", "bool"})
DATES = frozenset({"date", "timestamp"})


@dataclass(frozen=True)
class Column:
    name: str
    type: str


class BadTable(Exception):
    """The data cannot be read as a table. The message says where, why and what to do."""


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
