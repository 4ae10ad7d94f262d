"""Small questions to a Parquet file: chosen rows, or one figure for each group.

Both stream: however long the table, what is in memory is a few row groups and the answer.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import times

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
OPERATORS = (*COMPARISONS, "in", "is_null", "not_null")
AGGREGATES = ("count", "sum", "mean", "min", "max")
BUCKETS = ("minute", "hour", "day", "week", "month", "year")
FIGURE, GROUP = "value", "group"
OR_TEXT = f"(or of text as {times.EXAMPLE} or 2026-01-31)"


class BadQuery(ValueError):
    """This cannot be asked of this table. The message says why."""


@dataclass(frozen=True)
class Condition:
    """`column op value`: `value` is a list for "in", and not looked at for nulls."""

    column: str
    op: str
    value: Any = None


@dataclass(frozen=True)
class Chosen:
    """Rows as they stand, the first `limit` that meet every condition."""

    columns: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    limit: int = 100


@dataclass(frozen=True)
class Grouped:
    """One figure for each group: `aggregate` of `value` by `group_by`, cut to `bucket` if times.

    Text is cut as times, too, where it is ISO 8601; what is not, is in the group of nulls.

    "count" counts rows, or with `value` those where it is not null. Without `group_by` all rows
    are one group.
    """

    aggregate: str
    value: str | None = None
    group_by: str | None = None
    bucket: str | None = None
    where: tuple[Condition, ...] = ()
    by_group: bool = False  # the order: by group upwards, else by figure downwards
    limit: int = 100


Query = Chosen | Grouped


def faults_of(schema: "pa.Schema", query: Query) -> list[str]:
    """Everything that is wrong with it, in words."""
    found = [fault for one in query.where if (fault := fault_of(schema, one))]
    if isinstance(query, Chosen):
        return found + [missing(schema, name) for name in query.columns if name not in schema.names]
    return found + list(faults_of_group(schema, query))


def faults_of_group(schema: "pa.Schema", query: Grouped) -> list[str]:
    import pyarrow as pa  # noqa: PLC0415 - 0.3 s that only a query of a table needs

    found = [
        missing(schema, n) for n in (query.value, query.group_by) if n and n not in schema.names
    ]
    if found:
        return found
    if query.value is None and query.aggregate != "count":
        found.append(f"{query.aggregate} needs a column as value.")
    if query.value and query.aggregate in ("sum", "mean"):
        kind = schema.field(query.value).type
        if not (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        ):
            found.append(f"{query.aggregate} needs numbers: {query.value!r} holds {kind}.")
    if query.bucket and not (query.group_by and may_be_time(schema.field(query.group_by).type)):
        found.append(f"bucket cuts times: name a column of times {OR_TEXT} as group_by.")
    return found


def missing(schema: "pa.Schema", name: str) -> str:
    return f"There is no column {name!r}; there are {', '.join(schema.names[:20])}."


def is_time(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def may_be_time(kind: "pa.DataType") -> bool:
    return is_time(kind) or times.is_text(kind)


def fault_of(schema: "pa.Schema", condition: Condition) -> str:
    if condition.column not in schema.names:
        return missing(schema, condition.column)
    try:
        expression(schema, condition)
    except BadQuery as fault:
        return str(fault)
    return ""


def run(path: Path, query: Query) -> list[dict[str, Any]]:
    """The answer's rows; raises BadQuery."""
    import pyarrow.dataset as ds  # noqa: PLC0415 - see above

    table = ds.dataset(path, format="parquet")
    if faults := faults_of(table.schema, query):
        raise BadQuery(" ".join(faults))
    wanted = all_of(table.schema, query.where)
    if isinstance(query, Chosen):
        columns = list(dict.fromkeys(query.columns))
        found = table.head(query.limit, columns=columns, filter=wanted)
    else:
        found = grouped(table, query, wanted)
        refuse_timeless(found, query, table.schema)
    return [{name: plain(value) for name, value in row.items()} for row in found.to_pylist()]


def grouped(table: Any, query: Grouped, wanted: "pc.Expression | None") -> "pa.Table":
    import pyarrow as pa  # noqa: PLC0415 - see above
    from pyarrow import acero as engine  # noqa: PLC0415 - see above

    acero: Any = engine  # Its stubs know less than it does.
    step = acero.Declaration
    names = [name for name in (query.value, query.group_by) if name]
    columns = list(dict.fromkeys(names)) or [table.schema.names[0]]
    steps = [step("scan", acero.ScanNodeOptions(table, columns=columns, filter=wanted))]
    if wanted is not None:  # The scan passes over row groups; single rows are left to us.
        steps.append(step("filter", acero.FilterNodeOptions(wanted)))
    chosen = projected(query, columns, table.schema)
    steps.append(step("project", acero.ProjectNodeOptions(*chosen)))
    steps.append(step("aggregate", aggregation(query)))
    found = step.from_sequence(steps).to_table()
    if query.group_by is None:
        found = found.append_column(GROUP, pa.array(["all"] * found.num_rows))
    order = (GROUP, "ascending") if query.by_group else (FIGURE, "descending")
    answer: pa.Table = found.select([GROUP, FIGURE]).sort_by([order]).slice(0, query.limit)
    return answer


def refuse_timeless(found: "pa.Table", query: Grouped, schema: "pa.Schema") -> None:
    """Text without any time in it has one group, of which nobody would learn why."""
    if not (query.bucket and query.group_by and times.is_text(schema.field(query.group_by).type)):
        return
    if found.num_rows and found[GROUP].null_count == found.num_rows:
        raise BadQuery(
            f"{query.group_by!r} holds text, and none of it is a time as {times.EXAMPLE} or "
            "2026-01-31: leave bucket out, or store the times in one of these forms."
        )


def projected(
    query: Grouped, columns: list[str], schema: "pa.Schema"
) -> tuple[list[Any], list[str]]:
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    value = pc.field(query.value or columns[0])
    if query.group_by is None:
        return [value], [FIGURE]
    group = pc.field(query.group_by)
    if query.bucket:
        unit: Any = query.bucket  # one of BUCKETS
        if times.is_text(schema.field(query.group_by).type):
            group = times.minute_of(group)
        group = pc.floor_temporal(group, 1, unit)
    return [value, group], [FIGURE, GROUP]


def aggregation(query: Grouped) -> Any:
    from pyarrow import acero  # noqa: PLC0415 - see above
    from pyarrow.compute import CountOptions  # noqa: PLC0415 - see above

    options: Any = None
    figure: Any = FIGURE
    if query.aggregate == "count":
        options = CountOptions("only_valid" if query.value else "all")
    if query.group_by is None:
        return acero.AggregateNodeOptions([(figure, query.aggregate, options, FIGURE)])
    name = f"hash_{query.aggregate}"
    return acero.AggregateNodeOptions([(figure, name, options, FIGURE)], keys=[GROUP])


# Conditions -------------------------------------------------------------------------------------


def all_of(schema: "pa.Schema", where: tuple[Condition, ...]) -> "pc.Expression | None":
    whole: pc.Expression | None = None
    for condition in where:
        one = expression(schema, condition)
        whole = one if whole is None else whole & one
    return whole


def expression(schema: "pa.Schema", condition: Condition) -> Any:
    import pyarrow.compute as pc  # noqa: PLC0415 - see above

    column: Any = pc.field(condition.column)
    kind = schema.field(condition.column).type
    if condition.op == "is_null":
        return column.is_null()
    if condition.op == "not_null":
        return column.is_valid()
    if condition.op == "in":
        values = condition.value if isinstance(condition.value, list) else [condition.value]
        return column.isin([scalar(value, kind, condition.column) for value in values])
    value = scalar(condition.value, kind, condition.column)
    return getattr(column, f"__{condition.op}__")(value)


def scalar(value: Any, kind: "pa.DataType", column: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    try:
        if value is None:
            raise pa.ArrowInvalid("null")
        if isinstance(value, str) and pa.types.is_timestamp(kind):
            value = moment(value, in_utc=kind.tz is not None)
        found: Any = pa.scalar(value)
        return found if found.type.equals(kind) else found.cast(kind)
    except (
        pa.ArrowInvalid,
        pa.ArrowNotImplementedError,
        pa.ArrowTypeError,
        ValueError,
        OverflowError,
    ):
        raise BadQuery(f"{value!r} is no value of {column!r}, which holds {kind}.") from None


def moment(text: str, *, in_utc: bool) -> datetime:
    """Without a zone it is UTC, as everywhere."""
    found = datetime.fromisoformat(text)
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware if in_utc else aware.astimezone(UTC).replace(tzinfo=None)


def plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.hex() if isinstance(value, bytes) else value
