"""Doors to the channels that notifications go through."""

from collections.abc import Sequence

from fastapi import Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.web import House, PageAsked, Session, describe_page, room
from astralytiq.features.alerts import channels as kept
from astralytiq.features.alerts.models import Channel
from astralytiq.features.alerts.schemas import ChannelCreate, ChannelMade, ChannelRead

from .rules import Writer

channels = room("/alerts/channels", "alerts")


@channels.get("", response_model=list[ChannelRead])
async def list_channels(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Writer
) -> Sequence[Channel]:
    found, total = await kept.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@channels.post("", status_code=201)
async def create_channel(
    response: Response, house: House, actor: Writer, body: ChannelCreate
) -> ChannelMade:
    """Where no signing secret is named, one is made and shown this once: no repeat shows it."""
    channel, made = await house.database.write(
        lambda session: kept.create(session, house.settings, actor, body)
    )
    response.headers["Location"] = f"/api/v1/alerts/channels/{channel.id}"
    response.headers["Cache-Control"] = "no-store"
    answer = ChannelMade.model_validate(channel)
    answer.signing_secret = made
    return answer


@channels.get("/{channel_id}", response_model=ChannelRead)
async def read_channel(session: Session, actor: Writer, channel_id: Id) -> Channel:
    return await kept.get(session, channel_id)


@channels.delete("/{channel_id}", status_code=204)
async def delete_channel(session: Session, actor: Writer, channel_id: Id) -> None:
    await kept.delete(session, actor, await kept.get(session, channel_id))
