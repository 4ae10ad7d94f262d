"""Background work of the alerts room: telling people."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.executor import Work
from astralytiq.core.jobs import job

from . import service, telling, words
from .models import Alert, Channel
from .words import Change


@job(telling.NOTIFY)
async def notify(
    work: Work, *, channel_id: int, change: str, alert_ids: list[int], rule_id: int | None = None
) -> dict[str, str]:
    """Tell one channel of one change. What was deleted meanwhile is told to nobody."""
    async with work.resources.database.reading() as session:
        channel = await session.get(Channel, channel_id)
        alerts = await found(session, alert_ids, rule_id)
    if channel is None or not alerts:
        return {"told": "nobody: the channel or the alert is gone"}
    base_url = work.resources.settings.base_url
    message = words.message(Change(change), alerts, work.claim.id, base_url)
    await telling.send(work, channel, message)
    return {"told": channel.name}


async def found(session: AsyncSession, alert_ids: list[int], rule_id: int | None) -> list[Alert]:
    if rule_id is not None:  # A test: nothing has fired.
        return [words.rehearsed(await service.get_rule(session, rule_id), None)]
    query = select(Alert).where(Alert.id.in_(alert_ids)).order_by(Alert.id)
    return list((await session.scalars(query)).all())
