"""Checks rows against a model's signature, and lists everything that is wrong with them."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from astralytiq.core.errors import Fault, Invalid

from .schemas import PredictRequest

MOST_ROWS = 10_000
MOST_FAULTS = 1_000
PLAIN = frozenset({int, float})
Loc = tuple[str | int, ...]


def rows_of(body: PredictRequest, features: Sequence[dict[str, str]]) -> list[list[float]]:
    """Rows of numbers in the order of the signature; raises Invalid naming every fault."""
    rows = arranged(body, [feature["name"] for feature in features])
    if rows and len(rows) <= MOST_ROWS and are_plain_numbers(rows, len(features)):
        return rows
    return checked_rows(body, features)


def arranged(body: PredictRequest, names: list[str]) -> list[list[Any]] | None:
    """The values in the order of the signature, if every row names just these."""
    if body.instances is not None:
        return body.instances
    if body.dataframe_split is not None:
        split = body.dataframe_split
        return split.data if split.columns == names else None
    records, known = body.records or [], set(names)
    if all(record.keys() == known for record in records):
        return [[record[name] for name in names] for record in records]
    return None


def are_plain_numbers(rows: list[list[Any]], width: int) -> bool:
    """Whether nothing can be wrong with them. Looks at all values at once: a thousand rows of
    twenty take 2 ms, and 15 value by value."""
    if any(len(row) != width for row in rows):
        return False
    if not PLAIN.issuperset(map(type, chain.from_iterable(rows))):
        return False
    try:
        return all(map(math.isfinite, chain.from_iterable(rows)))
    except OverflowError:  # an integer beyond what a float can hold
        return False


def checked_rows(body: PredictRequest, features: Sequence[dict[str, str]]) -> list[list[float]]:
    """Value by value, as every fault is to be named."""
    rows: list[list[float]] = []
    faults: list[Fault] = []
    for loc, row in named_rows(body, features, faults):
        rows.append([number(loc, feature, row, faults) for feature in features])
    if not faults and not rows:
        faults.append(Fault(("body",), "there are no rows: send at least one"))
    if faults:
        refuse(faults)
    return rows


def refuse(faults: list[Fault]) -> None:
    first = "; ".join(f"{'.'.join(map(str, fault.loc))}: {fault.msg}" for fault in faults[:5])
    more = f" ({len(faults)} faults in all)" if len(faults) > 5 else ""
    raise Invalid(f"Correct and send again: {first}{more}", faults=tuple(faults[:MOST_FAULTS]))


def named_rows(
    body: PredictRequest, features: Sequence[dict[str, str]], faults: list[Fault]
) -> Iterator[tuple[Loc, dict[str, Any]]]:
    """Each row as an object, with its place in the body. Unknown names are faults."""
    signature = [feature["name"] for feature in features]
    if body.records is not None:
        refuse_too_many(len(body.records))
        known = set(signature)
        for place, record in enumerate(body.records):
            loc: Loc = ("body", "records", place)
            faults.extend(unknown(loc, name, signature) for name in record if name not in known)
            yield loc, record
    elif body.instances is not None:
        yield from wide_rows(("body", "instances"), signature, body.instances, faults)
    elif body.dataframe_split is not None:
        columns, loc = body.dataframe_split.columns, ("body", "dataframe_split")
        faults.extend(column_faults((*loc, "columns"), columns, signature))
        yield from wide_rows((*loc, "data"), columns, body.dataframe_split.data, faults)


def wide_rows(
    loc: Loc, columns: Sequence[str], data: Sequence[Sequence[Any]], faults: list[Fault]
) -> Iterator[tuple[Loc, dict[str, Any]]]:
    refuse_too_many(len(data))
    for place, values in enumerate(data):
        if len(values) == len(columns):
            yield (*loc, place), dict(zip(columns, values, strict=True))
        else:
            words = f"{len(values)} values where there are {len(columns)} columns"
            faults.append(Fault((*loc, place), words, "wrong_width"))


def column_faults(loc: Loc, columns: list[str], signature: list[str]) -> list[Fault]:
    """A missing column is told once for each row, at the row."""
    faults = [
        unknown((*loc, place), name, signature, last=False)
        for place, name in enumerate(columns)
        if name not in signature
    ]
    twice = [
        Fault((*loc, place), f"{name!r} is named twice", "duplicate")
        for place, name in enumerate(columns)
        if name in columns[:place]
    ]
    return faults + twice


def unknown(loc: Loc, name: str, signature: list[str], last: bool = True) -> Fault:
    words = f"unknown feature {name!r}; the model takes {signature}"
    return Fault((*loc, name) if last else loc, words, "unknown_feature")


def refuse_too_many(rows: int) -> None:
    if rows > MOST_ROWS:
        raise Invalid(f"{rows} rows are too many: send at most {MOST_ROWS} at a time.")


def number(loc: Loc, feature: dict[str, str], row: dict[str, Any], faults: list[Fault]) -> float:
    """The feature's value, or 0 after noting what is wrong with it."""
    name = feature["name"]
    if name not in row:
        faults.append(Fault((*loc, name), f"the feature {name!r} is missing", "missing"))
    elif not is_number(row[name], feature["type"]):
        faults.append(Fault((*loc, name), f"{shown(row[name])} is not a number", "not_a_number"))
    elif not is_finite(row[name]):
        faults.append(Fault((*loc, name), "must be a finite number", "not_finite"))
    else:
        return float(row[name])
    return 0.0


def is_number(value: Any, type_: str) -> bool:
    """A truth is a number only where the model learnt from truths."""
    return type_ == "bool" if isinstance(value, bool) else isinstance(value, (int, float))


def is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float can hold
        return False


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
