"""How good a table is: five parts, each a share of checks that pass, and the rows that fail them.

    quality(path, profile(path), [Rule("unique", "id")], as_of=version.created_at)

The score is the mean of the parts that can be measured, times 100. Parts are those of DAMA UK 2013
(The six primary dimensions for data quality assessment; accuracy needs the real world beside it),
measured as ISO/IEC 25024 measures: A / B, what passes over all that was checked.

- completeness: of all cells, those that hold a value. Null, NaN and blank text hold none.
- uniqueness: of all rows, those that are no exact repeat of an earlier one.
- validity: of the cells that hold a value, those that fit their column: no infinite numbers; in a
  column of text of which more than 95 % read as one thing (number, date, timestamp, uuid, email,
  bool), no text that does not; and where a type is declared, no value that is not of it.
- consistency: of the texts, those without whitespace around; of those in a column of few different
  words, those in its usual spelling; and of pairs of columns like start and end, those in order.
  Outliers are no faults: real data has long tails, and a range is a rule to be stated.
- freshness: how old the newest row is beside how often rows come (`freshness`). The column is
  named, or found by its name; moments after `as_of` are shown as faults and count here, too.

A rule adds its own checks to a part: not_null to completeness, unique to uniqueness, range, regex
and in to validity, foreign to consistency. A part without anything to check has no score, says why
and is left out of the mean. A fault is never rounded away: only a table without one has 100.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import checks, consistency, freshness, rules
from .checks import Check, Fault
from .profile import ColumnProfile, TableProfile
from .reading import TIMES, Table
from .rules import BadRule, Rule

__all__ = ["Fault", "Part", "Quality", "Rule", "asdict", "quality"]

OF_RULE = {
    "not_null": "completeness",
    "unique": "uniqueness",
    "range": "validity",
    "regex": "validity",
    "in": "validity",
    "foreign": "consistency",
}
# How texts are read that are declared to be of a type.
OF_TYPE = {
    "int64": "integer",
    "float64": "number",
    "bool": "bool",
    "date": "date",
    "timestamp": "timestamp",
}
FITTING = {("int", "float64"), ("date", "timestamp")}
KIND_OF_TYPE = {"int64": "int", "float64": "float", "string": "text"}
NOTHING = {
    "completeness": "The table has no cells.",
    "uniqueness": "The table has no rows, or nested values that are not compared.",
    "validity": "The table holds no values.",
    "consistency": "There is no text, no pair of columns like start and end, and no foreign rule.",
    "freshness": "No column of times says by its name when rows came about.",
}


@dataclass(frozen=True)
class Part:
    """`score`: 0 to 100, or None with the reason in `note`. `weight`: its share of the mean.

    `failed` of `checked` checks do not pass; `faults` show them, those with the most rows first.
    """

    name: str
    score: float | None
    weight: float
    checked: int
    failed: int
    note: str | None
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Quality:
    """`score`: 0 to 100; None of a table in which nothing can be measured.

    `rules` has one fault for each rule, in their order; one that holds has no rows.
    """

    score: float | None
    rows: int
    as_of: str
    parts: list[Part]
    rules: list[Fault]


@dataclass
class Tally:
    """What was checked for one part, while it is being gathered."""

    checked: int = 0
    failed: int = 0
    faults: list[Fault] = field(default_factory=list)

    def add(self, found: Iterable[Fault], *, counted: bool = True) -> None:
        """`counted`: these are checks of their own, not shown parts of others."""
        for fault in found:
            self.faults += [fault] if fault.rows_affected else []
            if counted:
                self.checked += fault.checked
                self.failed += fault.rows_affected


def quality(
    path: Path,
    profile: TableProfile,
    rules_: Sequence[Rule] = (),
    *,
    as_of: datetime,
    declared: Mapping[str, str] | None = None,
    time_column: str | None = None,
    shelf_life: timedelta | None = None,
) -> Quality:
    """The quality of the table in a Parquet file whose profile is known.

    Only columns that fail something, or have a rule, are read again. `as_of`: the moment at which
    the age is taken, with its zone: that a version was made, for a figure that stays. `declared`:
    types (int64, float64, bool, date, timestamp, string) of columns. `time_column` and
    `shelf_life` settle freshness. Raises BadRule.
    """
    with Table(path) as table:
        kept = rules.applied(table, rules_)
        tallies = {
            "completeness": completeness(table, profile),
            "uniqueness": uniqueness(table, profile),
            "validity": validity(table, profile, declared or {}),
            "consistency": consistent(table, profile),
        }
        for rule, fault in zip(rules_, kept, strict=True):
            tallies[OF_RULE[rule.kind]].add([fault])
        parts = [part_of(name, tally) for name, tally in tallies.items()]
        parts.append(fresh(table, profile, as_of, time_column, shelf_life))
    return Quality(overall(parts), profile.rows, moment(as_of), weighted(parts), kept)


def overall(parts: Sequence[Part]) -> float | None:
    scores = [part.score for part in parts if part.score is not None]
    return rounded(sum(scores) / len(scores)) if scores else None


def rounded(score: float) -> float:
    return 100.0 if score >= 100 else math.floor(score * 100) / 100


def weighted(parts: Sequence[Part]) -> list[Part]:
    measured = sum(part.score is not None for part in parts)
    return [
        Part(**{**vars(part), "weight": 0.0 if part.score is None else 1 / measured})
        for part in parts
    ]


def part_of(name: str, tally: Tally) -> Part:
    faults = sorted(tally.faults, key=lambda fault: -fault.rows_affected)
    if not tally.checked:
        return Part(name, None, 0.0, 0, 0, NOTHING[name], faults)
    score = rounded(100 * (1 - tally.failed / tally.checked)) if tally.failed else 100.0
    return Part(name, score, 0.0, tally.checked, tally.failed, None, faults)


def moment(time: datetime) -> str:
    return freshness.shown_time(time.astimezone(UTC))


# The parts --------------------------------------------------------------------------------------


def missing(column: ColumnProfile) -> int:
    return column.nulls + column.nan + (column.texts.blank if column.texts else 0)


def completeness(table: Table, profile: TableProfile) -> Tally:
    gaps = [column for column in profile.columns if missing(column)]
    found = faults_of(
        table,
        [
            Check(column.name, "missing", "Null, not a number, or blank.", checks.missing)
            for column in gaps
        ],
    )
    tally = Tally(
        profile.rows * len(profile.columns), sum(missing(column) for column in profile.columns)
    )
    tally.add(found, counted=False)
    return tally


def faults_of(table: Table, wanted: Sequence[Check]) -> list[Fault]:
    checks.run(table, wanted)
    return [check.found() for check in wanted]


def uniqueness(table: Table, profile: TableProfile) -> Tally:
    if profile.repeated_rows is None:
        return Tally()
    tally = Tally(profile.rows, profile.repeated_rows)
    if profile.repeated_rows:
        rows, again = checks.repeats(table, table.fields, nulls=True)
        examples = checks.examples_at(table, table.fields[: checks.MOST_EXAMPLES], again)
        detail = "An earlier row has the same values in all columns."
        tally = Tally()
        tally.add([checks.fault(None, "repeated", detail, len(again), rows, examples)])
    return tally


def validity(table: Table, profile: TableProfile, declared: Mapping[str, str]) -> Tally:
    held = sum(profile.rows - missing(column) for column in profile.columns)
    found = faults_of(
        table,
        [check for column in profile.columns for check in misfits(column, declared)],
    )
    tally = Tally(held, sum(fault.rows_affected for fault in found))
    tally.add(found, counted=False)
    return tally


def misfits(column: ColumnProfile, declared: Mapping[str, str]) -> Iterable[Check]:
    """At most one fault for each cell: what is declared comes before what it looks like."""
    type_ = declared.get(column.name)
    if type_ and (check := not_declared(column, type_)):
        yield check
    elif column.infinite:
        yield Check(column.name, "infinite", "The number is infinite.", checks.infinite)
    elif type_ is None and column.texts and column.texts.misfits:
        meaning = str(column.texts.looks_like)
        detail = f"Nearly all of the column read as {meaning}."
        yield Check(column.name, meaning, detail, checks.misread(meaning))


def not_declared(column: ColumnProfile, type_: str) -> Check | None:
    detail = f"The column is declared as {type_}."
    kind = KIND_OF_TYPE.get(type_, type_)
    if column.kind == "text" and type_ in OF_TYPE:
        return Check(column.name, "type", detail, checks.misread(OF_TYPE[type_]))
    if column.kind == kind or (column.kind, type_) in FITTING:
        return None
    return Check(column.name, "type", detail, checks.present)


def consistent(table: Table, profile: TableProfile) -> Tally:
    tally = Tally()
    columns = [column for column in profile.columns if column.texts]
    tally.checked = sum(profile.rows - column.nulls for column in columns)
    tally.failed = sum(column.texts.padded for column in columns if column.texts)
    detail = "There is whitespace around the text."
    wanted = [
        Check(column.name, "padded", detail, checks.padded)
        for column in columns
        if column.texts and column.texts.padded
    ]
    tally.add(faults_of(table, wanted), counted=False)
    tally.add(faults_of(table, list(spellings(table, profile, columns))))
    tally.add(consistency.order(table, *pair) for pair in consistency.pairs(profile))
    return tally


def spellings(
    table: Table, profile: TableProfile, columns: Sequence[ColumnProfile]
) -> Iterable[Check]:
    for column in columns:
        if consistency.has_spellings(column):
            rare = consistency.rare_spellings(table, column)
            if rare:
                judge = checks.one_of(rare, wanted=False)
                detail = f"A rarer way to write another value: {', '.join(map(repr, rare[:5]))}."
                yield Check(column.name, "spelling", detail, judge)


def fresh(
    table: Table,
    profile: TableProfile,
    as_of: datetime,
    time_column: str | None,
    shelf: timedelta | None,
) -> Part:
    if time_column is not None:
        column = named_moments(profile, time_column)
    else:
        column = freshness.moment_column(profile)
    found = freshness.measure(table, column, as_of, shelf) if column else None
    if found is None:
        return Part("freshness", None, 0.0, 0, 0, NOTHING["freshness"])
    future = found.future
    held = 1 - future.share
    age, life = (worded(seconds) for seconds in (found.age_seconds, found.shelf_seconds))
    note = f"The newest row, by {found.column}, is {age} old; up to {life} counts as fresh."
    faults = [future] if future.rows_affected else []
    score = rounded(100 * found.score * held)
    return Part("freshness", score, 0.0, future.checked, future.rows_affected, note, faults)


def named_moments(profile: TableProfile, name: str) -> ColumnProfile | None:
    column = profile.column(name)
    if column is None or column.kind not in TIMES:
        raise BadRule(f"Freshness: {name!r} is no column of times: name a date or timestamp.")
    return column if column.max is not None else None


def worded(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
