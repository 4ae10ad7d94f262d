"""What was measured of versions, as the doors show it, and how far one has moved from another."""
# ruff: noqa: PLC0415 - the engines need NumPy: only those who touch data pay for them

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import Conflict

from . import tables
from .measuring import JOB, row_of
from .models import DatasetProfile, DatasetVersion
from .schemas import ProfileRead, QualityRead, VersionComparison

WORST = ("major", "moderate", "none")
Stored = Mapping[str, Any]


async def get_row(session: AsyncSession, version: DatasetVersion) -> DatasetProfile:
    if found := await row_of(session, version):
        return found
    raise Conflict(
        f"The version {version.reference} is not measured yet: a job of kind {JOB} does it "
        "(GET /api/v1/jobs); try again when it has ended."
    )


async def profile(session: AsyncSession, version: DatasetVersion) -> ProfileRead:
    row = await get_row(session, version)
    # What drift is computed from says nothing to people.
    columns = [
        {name: value for name, value in column.items() if name != "distribution"}
        for column in row.profile["columns"]
    ]
    found = row.profile | {"columns": columns, "measured_at": row.created_at}
    return ProfileRead.model_validate(found | placed(version))


async def quality(session: AsyncSession, version: DatasetVersion) -> QualityRead:
    row = await get_row(session, version)
    return QualityRead.model_validate(
        row.quality | {"measured_at": row.created_at} | placed(version)
    )


def placed(version: DatasetVersion) -> dict[str, int]:
    return {"dataset_id": version.dataset_id, "version": version.number}


async def compare(
    session: AsyncSession, before: DatasetVersion, after: DatasetVersion
) -> VersionComparison:
    rows = [(await get_row(session, version)).profile for version in (before, after)]
    found = await asyncio.to_thread(drifted, *rows)
    verdicts = {column["verdict"] for column in found}
    return VersionComparison(
        before=before.reference,
        after=after.reference,
        rows_before=before.rows,
        rows_after=after.rows,
        verdict=next((one for one in WORST if one in verdicts), "none"),
        columns=found,
    )


def drifted(before: Stored, after: Stored) -> list[dict[str, Any]]:
    """The ids that we give records are new with each one that comes: a set that has only grown
    would look changed by them."""
    from astralytiq.engines.tabular.drift import Drift, drift
    from astralytiq.engines.tabular.profile import restored

    return [
        asdict(Drift(one.column, "not_compared", None, one.before, one.after))
        if one.column == tables.RECORD_ID
        else asdict(one)
        for one in drift(restored(before), restored(after))
    ]
