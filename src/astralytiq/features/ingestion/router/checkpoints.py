"""Doors to where sources stand."""

from astralytiq.core.web import Session
from astralytiq.features.ingestion import checkpoints, service
from astralytiq.features.ingestion.checkpoints import CheckpointRead

from .runs import RunReader, etl
from .sources import SourceWriter


@etl.get("/checkpoints/{source}", response_model=CheckpointRead)
async def read_checkpoint(session: Session, actor: RunReader, source: str) -> CheckpointRead:
    return await checkpoints.get(session, source)


@etl.delete("/checkpoints/{source}", status_code=204)
async def rewind(session: Session, actor: SourceWriter, source: str) -> None:
    """Rewind: the next run reads everything again. Nothing is stored twice by it."""
    await checkpoints.rewind(session, actor, await service.get_own(session, actor, source))
