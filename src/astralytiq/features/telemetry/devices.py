"""Rules for devices: known from their first event on, and deleted with all that they sent."""

from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.db import utc_now
from astralytiq.core.errors import NotFound
from astralytiq.core.jobs import Job
from astralytiq.core.security import Actor

from .models import Device
from .removing import DELETE_DEVICE


def living() -> Select[Device]:
    return select(Device).where(Device.deleted_at.is_(None))


async def list_all(
    session: AsyncSession, device_id: str | None, limit: int, offset: int
) -> tuple[Sequence[Device], int]:
    """Those seen last come first."""
    query = living() if device_id is None else living().where(Device.device_id == device_id)
    total = await session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = query.order_by(Device.last_seen_at.desc(), Device.id).limit(limit).offset(offset)
    return (await session.scalars(page)).all(), total


async def get(session: AsyncSession, number: int) -> Device:
    if found := await session.scalar(living().where(Device.id == number)):
        return found
    raise NotFound(f"There is no device {number}.")


async def is_known(session: AsyncSession, device_id: str) -> bool:
    query = living().where(Device.device_id == device_id)
    return await session.scalar(query.limit(1)) is not None


async def rename(session: AsyncSession, actor: Actor, device: Device, name: str | None) -> None:
    if device.name == name:
        return
    device.name = name
    device.version += 1
    audit.record(session, actor, "device.renamed", f"device/{device.id}")
    await session.flush()


async def delete(session: AsyncSession, actor: Actor, device: Device) -> Job:
    """Gone at once for all who ask; its events go with a job. Its id is free for a new device."""
    audit.record(session, actor, "device.deleted", f"device/{device.id}", events=device.events)
    device.deleted_at = utc_now()
    # No event can name it: ids from outside have no blank at their ends.
    device.device_id = f" deleted {device.id}"
    await session.flush()
    job = await jobs.enqueue(session, DELETE_DEVICE, owner_id=actor.id, device=device.id)
    assert job  # Only an idempotency key can keep a job out.
    return job
