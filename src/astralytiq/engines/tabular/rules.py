"""What people demand of a table's columns: a small closed set of rules.

| kind | arguments | what fails |
|---|---|---|
| not_null | | null, NaN, blank text |
| unique | columns? (further ones of the key) | each row whose key an earlier one has; null never |
| range | low?, high? (numbers, or ISO 8601 text of times) | values outside; NaN |
| regex | pattern (RE2: linear time) | text that does not match from end to end |
| in | values | values that are none of them |
| foreign | path, key | values that the other table's column does not have |

Null passes every rule but `not_null`. `problems` says what is wrong with a rule itself.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from . import checks
from .checks import Check, Fault, Judge
from .hashing import Words
from .reading import NUMBERS, ORDERED, TIMES, Field, Table

MOST_VALUES = 10_000
LONGEST_PATTERN = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadRule(Exception):
    """A rule that cannot be applied. The message names the column, the reason and the remedy."""


@dataclass(frozen=True)
class Rule:
    kind: str
    column: str
    columns: tuple[str, ...] = ()
    low: Any = None
    high: Any = None
    pattern: str | None = None
    values: tuple[Any, ...] = ()
    path: Path | None = None
    key: str | None = None


def apply(path: Path, rules: Sequence[Rule]) -> list[Fault]:
    """One fault for each rule, in their order; of a rule that holds it has no rows.

    Raises BadRule for the first that cannot be applied.
    """
    with Table(path) as table:
        return applied(table, rules)


def applied(table: Table, rules: Sequence[Rule]) -> list[Fault]:
    for rule in rules:
        if found := problems(rule, table.fields):
            raise BadRule(found[0])
    of_cells = {
        place: check_of(rule, table) for place, rule in enumerate(rules) if rule.kind != "unique"
    }
    checks.run(table, list(of_cells.values()))
    return [
        of_cells[place].found() if place in of_cells else unique(table, rule)
        for place, rule in enumerate(rules)
    ]


def problems(rule: Rule, fields: Sequence[Field]) -> list[str]:
    """What is wrong with the rule for a table of these columns, in sentences; empty if nothing."""
    known = {field.name: field for field in fields}
    if rule.kind not in KINDS:
        return [f"There is no rule {rule.kind!r}: choose one of {', '.join(KINDS)}."]
    absent = [name for name in (rule.column, *rule.columns) if name not in known]
    if absent:
        return [f"Rule {rule.kind}: the table has no column {absent[0]!r}."]
    field = known[rule.column]
    of_kind = KINDS[rule.kind](rule, field)
    return [f"Rule {rule.kind} on {field.name!r}: {problem}" for problem in of_kind]


def nothing_wrong(_: Rule, __: Field) -> list[str]:
    return []


def wrong_key(rule: Rule, field: Field) -> list[str]:
    if field.kind == "other":
        return ["nested values are not compared; name a column of plain ones."]
    return []


def wrong_range(rule: Rule, field: Field) -> list[str]:
    if field.kind not in ORDERED:
        return [f"a range needs numbers or times, the column holds {field.type}."]
    if rule.low is None and rule.high is None:
        return ["give low, high or both."]
    try:
        low, high = bounds(rule, field)
    except (TypeError, ValueError):
        wanted = "ISO 8601 times" if field.kind in TIMES else "numbers"
        return [f"low and high must be {wanted}."]
    if low is not None and high is not None and low > high:
        return ["low is greater than high: nothing could pass."]
    return []


def wrong_pattern(rule: Rule, field: Field) -> list[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if field.kind != "text":
        return [f"a pattern needs text, the column holds {field.type}."]
    if not rule.pattern or len(rule.pattern) > LONGEST_PATTERN:
        return [f"give a pattern of 1 to {LONGEST_PATTERN} characters."]
    try:
        # Closed on its own first: ")(" would be well-formed within our brackets.
        pc.match_substring_regex(pa.array([""]), rule.pattern)
        pc.match_substring_regex(pa.array([""]), f"^(?:{rule.pattern})$")
    except pa.ArrowInvalid:
        return ["the pattern is no RE2 expression (without look-around and back-references)."]
    return []


def wrong_values(rule: Rule, field: Field) -> list[str]:
    if field.kind in ("bytes", "other"):
        return [f"values of type {field.type} are not compared."]
    if not 1 <= len(rule.values) <= MOST_VALUES:
        return [f"give 1 to {MOST_VALUES} values."]
    try:
        allowed(rule, field)
    except (TypeError, ValueError):
        return [f"the values must be of the column's type, {field.type}."]
    return []


def wrong_table(rule: Rule, field: Field) -> list[str]:
    if rule.path is None or rule.key is None:
        return ["give path and key: the other table and its column."]
    with Table(rule.path) as other:
        key = other.field(rule.key)
    if key is None:
        return [f"the other table has no column {rule.key!r}."]
    if key.kind != field.kind or key.kind == "other":
        return [f"{field.type} is not compared with {key.type}: convert one of them."]
    return []


KINDS: Mapping[str, Callable[[Rule, Field], list[str]]] = {
    "not_null": nothing_wrong,
    "unique": wrong_key,
    "range": wrong_range,
    "regex": wrong_pattern,
    "in": wrong_values,
    "foreign": wrong_table,
}


# Arguments in the form that cells have ------------------------------------------------------------


def bounds(rule: Rule, field: Field) -> tuple[Any, Any]:
    low = None if rule.low is None else as_cell(rule.low, field)
    high = None if rule.high is None else as_cell(rule.high, field)
    if field.kind == "int":  # Beside a float, NumPy would compare large numbers inexactly.
        low = None if low is None else in_range(math.ceil(low))
        high = None if high is None else in_range(math.floor(high))
    return low, high


def in_range(number: int) -> int:
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def as_cell(value: Any, field: Field) -> Any:
    """Raises TypeError or ValueError where it cannot be one."""
    if field.kind in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        if not math.isfinite(value):
            raise ValueError
        return value
    if field.kind in TIMES:
        return as_moment(value, field)
    if not isinstance(value, bool if field.kind == "bool" else str):
        raise TypeError
    return value


def as_moment(value: Any, field: Field) -> int:
    """Microseconds, or days, since 1970. A time without a zone is UTC."""
    moment = value if isinstance(value, date) else datetime.fromisoformat(value)
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    since = moment - EPOCH
    microseconds = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds if field.kind == "timestamp" else since.days


def allowed(rule: Rule, field: Field) -> list[Any]:
    return [as_cell(value, field) for value in rule.values]


# Checks -----------------------------------------------------------------------------------------


def check_of(rule: Rule, table: Table) -> Check:
    """Of every kind but `unique`, which looks at more than one cell at a time."""
    field = table.field(rule.column)
    assert field is not None  # `problems` has seen to it.
    detail, judge = JUDGES[rule.kind](rule, field)
    return Check(rule.column, rule.kind, detail, judge)


def for_missing(rule: Rule, field: Field) -> tuple[str, Judge]:
    return "There must be a value in every row.", checks.missing


def for_range(rule: Rule, field: Field) -> tuple[str, Judge]:
    ends = [f"at least {rule.low}"] * (rule.low is not None)
    ends += [f"at most {rule.high}"] * (rule.high is not None)
    return f"Values must be {' and '.join(ends)}.", checks.outside(*bounds(rule, field))


def for_pattern(rule: Rule, field: Field) -> tuple[str, Judge]:
    assert rule.pattern is not None
    return f"Text must match {rule.pattern}.", checks.unlike(rule.pattern)


def for_values(rule: Rule, field: Field) -> tuple[str, Judge]:
    named = ", ".join(map(str, rule.values[:5])) + (", …" if len(rule.values) > 5 else "")
    return f"Values must be among {named}.", checks.one_of(allowed(rule, field), wanted=True)


def for_key(rule: Rule, field: Field) -> tuple[str, Judge]:
    assert rule.path is not None
    assert rule.key is not None
    detail = f"Values must be in the column {rule.key!r} of the other table."
    return detail, checks.without_key(keys_of(rule.path, rule.key))


JUDGES: Mapping[str, Callable[[Rule, Field], tuple[str, Judge]]] = {
    "not_null": for_missing,
    "range": for_range,
    "regex": for_pattern,
    "in": for_values,
    "foreign": for_key,
}


def keys_of(path: Path, key: str) -> Words:
    """The sorted hashes of another table's column."""
    with Table(path) as other:
        field = other.field(key)
        assert field is not None
        hashes = [part.hashes for (part,) in other.parts([field])]
    keys = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
    keys.sort()
    return keys


def unique(table: Table, rule: Rule) -> Fault:
    names = (rule.column, *(name for name in rule.columns if name != rule.column))
    fields = [field for field in table.fields if field.name in names]
    checked, again = checks.repeats(table, fields, nulls=False)
    examples = checks.examples_at(table, fields, again)
    detail = "Each row must have a value of its own."
    return checks.fault(", ".join(names), "unique", detail, len(again), checked, examples)
