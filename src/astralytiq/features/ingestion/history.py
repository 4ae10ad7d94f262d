"""What a record was before, and the payload that each of its states came from."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import NotFound
from astralytiq.engines.etl.packing import unpacked

from . import raw
from .models import DataRecord, RecordVersion
from .records import FIELDS
from .schemas_data import RawRead


async def get_any(session: AsyncSession, record_id: int) -> DataRecord:
    """Also one that its source no longer has."""
    if found := await session.get(DataRecord, record_id):
        return found
    raise NotFound(f"There is no record {record_id}.")


async def versions_of(
    session: AsyncSession, record_id: int, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """A page of a record's versions, newest first, and how many there are; the oldest is 1."""
    record = await get_any(session, record_id)
    total = 1 + await count_earlier(session, record_id)
    newest = [current(record)] if offset == 0 else []
    query = select(RecordVersion).filter_by(record_id=record_id).order_by(RecordVersion.id.desc())
    query = query.offset(max(0, offset - 1)).limit(limit - len(newest))
    found = [*newest, *await session.scalars(query)]
    return [shown(version, total - at) for at, version in enumerate(found, offset)], total


async def count_earlier(session: AsyncSession, record_id: int) -> int:
    query = select(func.count(RecordVersion.id)).filter_by(record_id=record_id)
    return await session.scalar(query) or 0


def current(record: DataRecord) -> RecordVersion:
    """The record as a version that is valid still."""
    fields = {name: getattr(record, name) for name in FIELDS} | {"metadata": record.extra}
    same = ("source", "content_hash", "run_id", "raw_id", "raw_position")
    return RecordVersion(
        fields=fields,
        valid_from=record.updated_at,
        valid_to=record.deleted_at,
        **{name: getattr(record, name) for name in same},
    )


def shown(version: RecordVersion, number: int) -> dict[str, Any]:
    names = ("run_id", "raw_position", "content_hash", "valid_from", "valid_to", "fields")
    return {"version": number} | {name: getattr(version, name) for name in names}


async def raw_of(session: AsyncSession, record_id: int, number: int | None) -> RawRead:
    """The payload that a version of a record came from; without a number, the current one."""
    record = await get_any(session, record_id)
    version = await version_of(session, record, number)
    row = await raw.raw_behind(session, record.source, version.run_id, version.raw_id)
    if row is None:
        raise NotFound(f"The raw payload of record {record_id} is not kept any more.")
    payloads: Sequence[Any] = await asyncio.to_thread(unpacked, row.payload)
    return RawRead(
        record_id=record_id,
        source=row.source,
        run_id=row.run_id,
        batch=row.batch,
        position=version.raw_position,
        fetched_at=row.created_at,
        payload=payloads[version.raw_position],
    )


async def version_of(
    session: AsyncSession, record: DataRecord, number: int | None
) -> DataRecord | RecordVersion:
    newest = 1 + await count_earlier(session, record.id)
    if number is None or number == newest:
        return record
    query = select(RecordVersion).filter_by(record_id=record.id).order_by(RecordVersion.id)
    found = await session.scalar(query.offset(number - 1).limit(1))
    if found is None:
        raise NotFound(f"The record {record.id} has no version {number}: its newest is {newest}.")
    return found
