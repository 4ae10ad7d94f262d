"""What the alerts room offers to those below it."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.offers import (
    Erasure,
    Rows,
    account_erased,
    columns_of,
    figure,
    personal_data,
    streamed,
)

from .models import Alert, AlertStatus, Channel, ChannelKind, Rule


@figure("alerts_firing", "alerts that fire")
async def firing(session: AsyncSession) -> float | None:
    query = select(func.count(Alert.id)).where(Alert.status == AlertStatus.firing)
    return await session.scalar(query)


@personal_data("alert_rules", "Alert rules that you own.")
def rules(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Rule)).where(Rule.owner_id == user_id)
    return streamed(session, query.order_by(Rule.id))


@personal_data("alert_channels", "Alert channels that you own.")
def alert_channels(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Channel)).where(Channel.owner_id == user_id)
    return streamed(session, query.order_by(Channel.id))


@personal_data("alerts", "Alerts that you acknowledged.")
def alerts(session: AsyncSession, user_id: int) -> Rows:
    query = select(*columns_of(Alert)).where(Alert.acknowledged_by == user_id)
    return streamed(session, query.order_by(Alert.id))


@account_erased("alert_channels")
async def forget_address(session: AsyncSession, erasure: Erasure) -> int:
    """Mail to an erased account ends; a channel of nobody else's address stays, and is empty."""
    query = select(Channel).where(Channel.kind == ChannelKind.email)
    theirs = [c for c in await session.scalars(query) if erasure.email in c.config["to"]]
    for channel in theirs:
        left = [address for address in channel.config["to"] if address != erasure.email]
        channel.config = {"to": left}
    await session.flush()
    return len(theirs)
