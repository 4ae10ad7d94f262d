"""Where notifications go: webhooks, mail, rooms of chat services."""

import secrets as random
from collections.abc import Sequence
from importlib.util import find_spec

from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import addresses, audit, secrets
from astralytiq.core.errors import Conflict, Invalid, NotFound
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import secrets as kept

from .models import Channel, ChannelKind, Rule
from .schemas import ChannelCreate, ChatChannel, WebhookChannel
from .service import refuse_foreign, refuse_taken

KEPT = "secret:"


async def list_all(session: AsyncSession, limit: int, offset: int) -> tuple[Sequence[Channel], int]:
    total = await session.scalar(select(func.count(Channel.id))) or 0
    page = select(Channel).order_by(Channel.name).limit(limit).offset(offset)
    return (await session.scalars(page)).all(), total


async def get(session: AsyncSession, channel_id: int) -> Channel:
    if found := await session.get(Channel, channel_id):
        return found
    raise NotFound(f"There is no alert channel {channel_id}.")


async def named(session: AsyncSession, names: Sequence[str]) -> Sequence[Channel]:
    query = select(Channel).where(Channel.name.in_(names)).order_by(Channel.name)
    return (await session.scalars(query)).all()


async def create(
    session: AsyncSession, settings: Settings, actor: Actor, body: ChannelCreate
) -> tuple[Channel, str | None]:
    """The channel, and the signing secret if one was made for it."""
    await refuse_taken(session, Channel, body.name)
    config = body.model_dump(mode="json", exclude={"name", "kind"})
    made = None
    if isinstance(body, WebhookChannel):
        addresses.parsed(body.url)  # Refuses what is no address of a web server.
        if body.secret is None:
            made = random.token_urlsafe(32)
            config["secret"] = KEPT + await keep(session, settings, actor, body.name, made)
        else:
            await refuse_foreign_secret(session, actor, body.secret)
    if isinstance(body, ChatChannel):
        if find_spec("apprise") is None:
            raise Invalid("Chat needs an extra: pip install 'astralytiq[chat]'.")
        await refuse_foreign_secret(session, actor, body.url)
    channel = Channel(
        name=body.name, kind=ChannelKind(body.kind), owner_id=actor.account_id, config=config
    )
    session.add(channel)
    await session.flush()
    audit.record(session, actor, "alert_channel.created", f"alert_channel/{channel.id}")
    return channel, made


async def keep(
    session: AsyncSession, settings: Settings, actor: Actor, name: str, value: str
) -> str:
    """Under a name of its own among the kept secrets."""
    wanted = f"alerts.{name.replace(' ', '-')}"[:100]
    if await secrets.find(session, wanted):
        raise Conflict(f"There is a secret {wanted!r} already: name it as this channel's secret.")
    await kept.put(session, settings, actor, wanted, SecretStr(value))
    return wanted


async def refuse_foreign_secret(session: AsyncSession, actor: Actor, reference: str) -> None:
    name = reference.removeprefix(KEPT)
    secret = await secrets.find(session, name)
    if secret is None:
        raise secrets.missing(name)
    kept.refuse_foreign(actor, secret)


async def delete(session: AsyncSession, actor: Actor, channel: Channel) -> None:
    refuse_foreign(actor, channel.owner_id, f"The channel {channel.name!r}")
    rules = await session.scalars(select(Rule).order_by(Rule.name))
    if using := [rule.name for rule in rules if channel.name in rule.channels]:
        raise Conflict(f"{channel.name!r} is used by {', '.join(using)}: change them first.")
    await session.delete(channel)
    audit.record(session, actor, "alert_channel.deleted", f"alert_channel/{channel.id}")
    await session.flush()


def shown(channel: Channel) -> str:
    """Where it leads, without secrets."""
    if channel.kind is ChannelKind.email:
        return ", ".join(channel.config["to"])
    return str(channel.config["url"]).split("?")[0]
