"""What changed between two runs of a source: counts, rates, time, fields and what they hold."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Invalid
from astralytiq.core.schemas import Answer
from astralytiq.engines.etl import profiles
from astralytiq.engines.etl.profiles import Field, Profile

from . import service
from .models import Run, RunStatus

COUNTS = (
    "batches", "records_processed", "records_inserted", "records_updated", "records_unchanged",
    "records_deleted", "records_failed",
)  # fmt: skip


class Change(Answer):
    """`ratio`: after as a multiple of before; null where there was nothing before."""

    before: float | None
    after: float | None
    change: float | None
    ratio: float | None


class Numbers(Answer):
    min: Change
    max: Change
    mean: Change


class Distribution(Answer):
    """`distance`: total variation between the two, 0 (the same) to 1 (nothing in common), while
    both have few values; `values` then holds the share of each."""

    distance: float | None
    values: dict[str, Change] | None
    numbers: Numbers | None


class Fields(Answer):
    added: list[str]
    removed: list[str]
    types_changed: dict[str, dict[str, list[str]]]


class Compared(Answer):
    run_id: str
    status: RunStatus
    sampled: int


class Comparison(Answer):
    source: str
    before: Compared
    after: Compared
    counts: dict[str, Change]
    rates: dict[str, Change]
    duration_ms: Change
    fields: Fields
    null_ratios: dict[str, Change]
    distributions: dict[str, Distribution]


async def compare(session: AsyncSession, first: str, second: str) -> Comparison:
    before, after = await service.get_run(session, first), await service.get_run(session, second)
    if before.source != after.source:
        raise Invalid(
            f"These are runs of {before.source!r} and of {after.source!r}: compare runs of one "
            "source."
        )
    profile, other = before.profile, after.profile
    nulls = profiles.null_ratios(profile), profiles.null_ratios(other)
    shared = [name for name in nulls[0] if name in nulls[1]]
    return Comparison(
        source=before.source,
        before=described(before),
        after=described(after),
        counts={name: change(getattr(before, name), getattr(after, name)) for name in COUNTS},
        rates=changes(rates_of(before), rates_of(after)),
        duration_ms=change(before.duration_ms, after.duration_ms),
        fields=fields_of(profile, other),
        null_ratios={name: change(nulls[0][name], nulls[1][name]) for name in shared},
        distributions={
            name: distribution(profile["fields"][name], other["fields"][name]) for name in shared
        },
    )


def described(run: Run) -> Compared:
    return Compared(run_id=run.run_id, status=run.status, sampled=run.profile.get("sampled", 0))


def change(before: float | None, after: float | None) -> Change:
    both = before is not None and after is not None
    return Change(
        before=rounded(before),
        after=rounded(after),
        change=rounded(after - before) if before is not None and after is not None else None,
        ratio=rounded(after / before) if both and before and after is not None else None,
    )


def rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def changes(before: dict[str, float | None], after: dict[str, float | None]) -> dict[str, Change]:
    return {name: change(before[name], after[name]) for name in before}


def rates_of(run: Run) -> dict[str, float | None]:
    """Shares of what was read, and how quickly it was."""
    read, milliseconds = run.records_processed, run.duration_ms
    shares: dict[str, float | None] = {
        f"{name}_ratio": getattr(run, f"records_{name}") / read if read else None
        for name in ("inserted", "updated", "unchanged", "failed")
    }
    return shares | {
        "records_per_second": read / milliseconds * 1000 if read and milliseconds else None
    }


def fields_of(before: Profile, after: Profile) -> Fields:
    first, second = before.get("fields", {}), after.get("fields", {})
    types = {
        name: {"before": sorted(first[name]["types"]), "after": sorted(second[name]["types"])}
        for name in first.keys() & second.keys()
    }
    known = bool(first and second)  # A run that read nothing says nothing of fields.
    return Fields(
        added=sorted(second.keys() - first.keys()) if known else [],
        removed=sorted(first.keys() - second.keys()) if known else [],
        types_changed={
            name: both for name, both in types.items() if both["before"] != both["after"]
        },
    )


def distribution(before: Field, after: Field) -> Distribution:
    distance = profiles.distance(before, after)
    measured = "sum" in before and "sum" in after
    return Distribution(
        distance=rounded(distance),
        values=None if distance is None else shares(before["values"], after["values"]),
        numbers=numbers(before, after) if measured else None,
    )


def shares(before: dict[str, int], after: dict[str, int]) -> dict[str, Change]:
    totals = sum(before.values()), sum(after.values())
    return {
        value: change(before.get(value, 0) / totals[0], after.get(value, 0) / totals[1])
        for value in dict.fromkeys((*before, *after))
    }


def numbers(before: Field, after: Field) -> Numbers:
    measured: dict[str, Any] = {name: change(before[name], after[name]) for name in ("min", "max")}
    return Numbers(**measured, mean=change(profiles.mean(before), profiles.mean(after)))
