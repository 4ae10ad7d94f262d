"""Background work of the telemetry room."""

from typing import Any

from astralytiq.core.executor import Work
from astralytiq.core.jobs import job

from . import removing


@job(removing.TIDY)
async def tidy(work: Work) -> dict[str, Any]:
    return await removing.tidy(work)


@job(removing.DELETE_DEVICE)
async def delete_device(work: Work, device: int) -> dict[str, Any]:
    return await removing.delete_device(work, device)
