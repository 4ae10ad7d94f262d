"""Which fields payloads have, of which types, and how that differs from what was known.

What is known of a field: `types`; `first_run` and `last_run`, which saw it; `seen`, in how many
`of` the records looked at, and how many it has `missed` since; whether it is `gone` from the
source, or `left_out` by its policy.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astralytiq.engines.etl.normalise import storable

Known = dict[str, dict[str, Any]]

# Of a batch the first records are looked at, then every so-many-th: it must not slow the load.
FIRST, EACH = 100, 50
MOST_FIELDS = 1000
MOST_EXAMPLES = 3
LONGEST_EXAMPLE = 100
SURE = 0.99
TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
}  # null is the want of a value


@dataclass
class Seen:
    """The records looked at: how many, and of each field in how many, with its types."""

    records: int = 0
    fields: dict[str, int] = field(default_factory=dict)
    types: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[tuple[str, str], list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """`confidence`: the share of the records looked at that show it; of a removal, how sure."""

    field: str
    change: str
    before: str | None
    after: str | None
    examples: list[Any]
    confidence: float


def look(
    payloads: Sequence[Any], convert: Callable[[Any], Any] | None = None, *, all_of: bool = False
) -> Seen:
    """What payloads look like; those that are no objects are passed over."""
    seen = Seen()
    for payload in payloads if all_of else [payloads[at] for at in sample(len(payloads))]:
        if isinstance(payload, dict):
            note(seen, payload, convert)
    return seen


def sample(size: int) -> Sequence[int]:
    """The places that are looked at."""
    return [*range(min(FIRST, size)), *range(FIRST, size, EACH)]


def note(seen: Seen, payload: Mapping[str, Any], convert: Callable[[Any], Any] | None) -> None:
    seen.records += 1
    for raw_name, raw_value in payload.items():
        name = raw_name if "\x00" not in raw_name else storable(raw_name)
        if name not in seen.fields and len(seen.fields) >= MOST_FIELDS:
            continue
        value = convert(raw_value) if convert else raw_value
        seen.fields[name] = seen.fields.get(name, 0) + 1
        types = seen.types.setdefault(name, {})
        if kind := TYPES.get(type(value)):
            types[kind] = types.get(kind, 0) + 1
            if types[kind] <= MOST_EXAMPLES:
                seen.examples.setdefault((name, kind), []).append(example(value))


def example(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return storable(str(value)[:LONGEST_EXAMPLE])
    return storable(value[:LONGEST_EXAMPLE]) if isinstance(value, str) else value


def is_first_look(known: Known, run_id: str) -> bool:
    """What the first run of a source shows is what later ones are measured by."""
    return all(entry["first_run"] == run_id for entry in known.values())


def changes(known: Known, seen: Seen, run_id: str) -> list[Change]:
    """The fields that are new, and those with new types. A whole number is a number, too."""
    if is_first_look(known, run_id):
        return []
    found = []
    for name, count in seen.fields.items():
        entry, types = known.get(name), seen.types[name]
        if entry is None or entry["gone"]:
            found.append(change(seen, name, "added", None, list(types), count))
        elif entry["first_run"] != run_id and (new := new_types(entry["types"], types)):
            count = sum(types[kind] for kind in new)
            found.append(change(seen, name, "type_changed", entry["types"], new, count))
    return found


def new_types(before: list[str], after: Iterable[str]) -> list[str]:
    """Those of `after`; none if nothing but nulls came before."""
    covered = {*before, "integer"} if "number" in before else set(before)
    return [kind for kind in after if kind not in covered] if before else []


def change(
    seen: Seen, name: str, what: str, before: list[str] | None, after: list[str], count: int
) -> Change:
    shown = [one for kind in after for one in seen.examples[name, kind]][:MOST_EXAMPLES]
    share = round(count / seen.records, 4)
    return Change(name, what, worded(before) if before else None, worded(after), shown, share)


def worded(types: Iterable[str]) -> str:
    return ", ".join(sorted(types)) or "null"


def known_after(known: Known, seen: Seen, run_id: str, *, leave_out: bool = False) -> Known:
    """What is known once these records were seen; with `leave_out` new fields are marked so."""
    later = {
        name: entry
        | {
            "missed": entry["missed"] + seen.records,
            "left_out": entry["left_out"] and leave_out,
        }
        for name, entry in known.items()
    }
    left_out = leave_out and not is_first_look(known, run_id)
    for name, count in seen.fields.items():
        if name not in later and len(later) < MOST_FIELDS:
            later[name] = {
                "types": [], "first_run": run_id, "seen": 0, "of": 0, "missed": seen.records,
                "gone": False, "left_out": left_out,
            }  # fmt: skip
        if entry := later.get(name):
            if entry["gone"]:  # What it was before says nothing of how often it comes now.
                entry.update(seen=0, of=0, missed=seen.records)
            entry["types"] = sorted({*entry["types"], *seen.types[name]})
            entry["seen"] += count
            entry["of"] += entry["missed"]
            entry.update(last_run=run_id, missed=0, gone=False)
    return later


def removals(known: Known, run_id: str) -> list[Change]:
    """The fields that a whole run has not shown, though that is no chance any more."""
    found = []
    for name, entry in known.items():
        if entry["gone"] or entry["last_run"] == run_id:
            continue
        sure = 1 - (1 - entry["seen"] / entry["of"]) ** entry["missed"]
        if sure >= SURE:
            before = worded(entry["types"])
            found.append(Change(name, "removed", before, None, [], round(sure, 4)))
    return found
