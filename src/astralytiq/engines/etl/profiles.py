"""What the fields of a source hold, from a sample of its payloads: cheap enough for every batch.

A profile is a JSON object, so that a run can keep it: `sampled`, and of each field how often it
was `present` and `null`, its `types`, of its `numbers` the `min`, `max` and `sum`, and its `values`
with their counts while they are few. Profiles of two batches add up.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from astralytiq.engines.etl.drift import TYPES
from astralytiq.engines.etl.normalise import storable

SAMPLE = 100  # of each batch
MOST_FIELDS = 200
MOST_VALUES = 20
LONGEST_VALUE = 100
LARGEST = 1e100
FOLDS: tuple[tuple[str, Callable[[Iterable[Any]], Any]], ...] = (
    ("min", min), ("max", max), ("sum", sum), ("numbers", sum)
)  # fmt: skip

Profile = dict[str, Any]
Field = dict[str, Any]


def sampled(
    payloads: Sequence[Any], convert: Callable[[str], Any] | None = None, size: int = SAMPLE
) -> Profile:
    """The profile of every k-th payload, so that no more than `size` are looked at."""
    places = sample(len(payloads), size)
    seen = [payloads[at] for at in places if isinstance(payloads[at], dict)]
    columns: dict[str, list[Any]] = {}
    for payload in seen:
        for name, value in payload.items():
            columns.setdefault(storable(name[:LONGEST_VALUE]), []).append(value)
    fields = {}
    for name in list(columns)[:MOST_FIELDS]:
        values = columns[name]
        fields[name] = described([convert(v) for v in values] if convert else values)
    return {"sampled": len(seen), "fields": fields}


def sample(total: int, size: int = SAMPLE) -> range:
    """The places that are looked at."""
    return range(0, total, -(-total // size) or 1)


def described(column: list[Any]) -> Field:
    values = [value for value in column if value is not None]
    field: Field = {"present": len(column), "null": len(column) - len(values)}
    field["types"] = counted(TYPES.get(type(value), "other") for value in values)
    numbers = [float(value) for value in values if is_measurable(value)]
    if numbers:
        field |= {"min": min(numbers), "max": max(numbers)}
        field |= {"sum": sum(numbers), "numbers": len(numbers)}
    field["values"] = few(counted(map(shown, values)))
    return field


def counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def is_measurable(value: Any) -> bool:
    """Sums of larger numbers might leave what a machine holds."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def shown(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return f"({TYPES[type(value)]})"
    if type(value) is int and not is_measurable(value):
        return "(integer)"  # Python writes no number of thousands of digits.
    text: str = storable(str(value)[:LONGEST_VALUE])
    return text


def few(counts: dict[str, int]) -> dict[str, int] | None:
    """None once there are too many different ones to tell anything."""
    return counts if len(counts) <= MOST_VALUES else None


def merged(one: Profile, other: Profile) -> Profile:
    """The profile of both samples together."""
    if not one.get("sampled"):
        return other
    first, second = one["fields"], other["fields"]
    names = list(dict.fromkeys((*first, *second)))[:MOST_FIELDS]
    fields = {
        name: together(first[name], second[name])
        if name in first and name in second
        else first.get(name) or second[name]
        for name in names
    }
    return {"sampled": one["sampled"] + other["sampled"], "fields": fields}


def together(one: Field, other: Field) -> Field:
    field: Field = {name: one[name] + other[name] for name in ("present", "null")}
    field["types"] = added(one["types"], other["types"])
    parts = [part for part in (one, other) if "sum" in part]
    for name, fold in FOLDS:
        if parts:
            field[name] = fold(part[name] for part in parts)
    known = one["values"] is not None and other["values"] is not None
    field["values"] = few(added(one["values"], other["values"])) if known else None
    return field


def added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    total = dict(one)
    for name, count in other.items():
        total[name] = total.get(name, 0) + count
    return total


def without_values(profile: Profile) -> Profile:
    """What tells nothing of single payloads: counts and types."""
    fields = {
        name: {part: field[part] for part in ("present", "null", "types")} | {"values": None}
        for name, field in profile.get("fields", {}).items()
    }
    return profile | {"fields": fields} if fields else profile


def null_ratios(profile: Profile) -> dict[str, float]:
    """Of each field the share of payloads that have no value in it."""
    size = profile.get("sampled", 0)
    return {
        name: 1 - (field["present"] - field["null"]) / size
        for name, field in profile.get("fields", {}).items()
    }


def mean(field: Field) -> float | None:
    return float(field["sum"] / field["numbers"]) if "sum" in field else None


def distance(one: Field, other: Field) -> float | None:
    """Total variation between the values of two profiles, 0 to 1; None where they are not few."""
    if not one["values"] or not other["values"]:
        return None
    totals = sum(one["values"].values()), sum(other["values"].values())
    names = one["values"].keys() | other["values"].keys()
    gaps = (
        abs(one["values"].get(name, 0) / totals[0] - other["values"].get(name, 0) / totals[1])
        for name in names
    )
    return float(sum(gaps) / 2)
