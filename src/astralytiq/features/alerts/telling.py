"""Notifications: asked for as jobs in the transaction of the change, then sent and retried."""

import asyncio
import hmac
import time
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, mail, secrets
from astralytiq.core.errors import AppError, Invalid
from astralytiq.core.executor import Work
from astralytiq.core.http import Fetcher, Patience, Request
from astralytiq.core.jobs import Transient
from astralytiq.core.resources import Resources
from astralytiq.core.settings import Settings

from . import channels
from .channels import KEPT
from .models import Channel, ChannelKind
from .words import Change, Message

NOTIFY = "alerts.notify"
# Each twice as far from the last: within an hour and a half, whoever was away has come back.
ATTEMPTS = 12
# Services with one address for all: a room of one's own server would be an address of anybody's.
CHATS = frozenset({"discord", "gchat", "msteams", "pover", "slack", "tgram", "workflows"})


async def ask(session: AsyncSession, told: Mapping[tuple[Change, str, str], Sequence[int]]) -> None:
    """One job for each message. The same change of the same alerts is asked for once."""
    wanted = {channel for _, channel, _ in told}
    known = {channel.name: channel for channel in await channels.named(session, sorted(wanted))}
    for (change, name, _), alert_ids in told.items():
        if channel := known.get(name):
            numbers = ",".join(map(str, alert_ids))
            await jobs.enqueue(
                session,
                NOTIFY,
                idempotency_key=f"alerts/{change}/{channel.id}/{numbers}",
                max_attempts=ATTEMPTS,
                channel_id=channel.id,
                change=change,
                alert_ids=list(alert_ids),
            )


async def send(work: Work, channel: Channel, message: Message) -> None:
    """Raises Transient where it may work later."""
    match channel.kind:
        case ChannelKind.webhook:
            await post(work.resources, channel, message)
        case ChannelKind.email:
            await send_mails(work, channel, message)
        case ChannelKind.chat:
            url = await revealed(work.resources, channel.config["url"])
            await asyncio.to_thread(chat, url, message)


async def revealed(resources: Resources, reference: str) -> str:
    keys = resources.settings.signing_keys
    async with resources.database.reading() as session:
        return await secrets.reveal(session, keys, reference.removeprefix(KEPT))


# Webhooks ---------------------------------------------------------------------------------------


async def post(resources: Resources, channel: Channel, message: Message) -> None:
    secret = await revealed(resources, channel.config["secret"])
    moment = str(int(time.time()))
    content = msgspec.json.encode(message.body)
    headers = {
        "Content-Type": "application/json",
        "X-AstralytiQ-Delivery": str(message.body["delivery"]),
        "X-AstralytiQ-Signature": f"t={moment},v1={signature(secret, moment, content)}",
    }
    allowed = resources.settings.allow_private_sources
    patience = Patience(attempts=1, max_seconds=30)  # The job tries again.
    async with Fetcher(allowed, patience=patience) as fetcher:
        await fetcher.fetch(channel.config["url"], Request("POST", headers, message.body))


def signature(secret: str, moment: str, content: bytes) -> str:
    """HMAC-SHA-256 in hex over the moment, a dot and the body: who has the secret can check who
    sent it and when."""
    return hmac.digest(secret.encode(), moment.encode() + b"." + content, "sha256").hex()


# Mail and chat ----------------------------------------------------------------------------------


async def send_mails(work: Work, channel: Channel, message: Message) -> None:
    """One after another; whom the job has reached before is not told again."""
    settings, sent = work.resources.settings, (work.checkpoint or {}).get("sent", 0)
    refuse_no_mail(settings)
    for number, address in enumerate(channel.config["to"][sent:], start=sent + 1):
        await mail.send(settings, address, message.subject, message.text)
        await work.step(nothing, checkpoint={"sent": number})


async def nothing(session: AsyncSession) -> None:
    """A checkpoint alone."""


def refuse_no_mail(settings: Settings) -> None:
    if not mail.is_set_up(settings):
        raise Invalid("No mail can be sent: set SMTP_URL and MAIL_FROM.")


def chat(url: str, message: Message) -> None:
    from apprise import Apprise  # noqa: PLC0415 - an extra

    scheme = url.partition("://")[0].lower()
    if scheme not in CHATS:
        raise Invalid(f"{scheme!r} is no chat service we know; there are {', '.join(CHATS)}.")
    room = Apprise()
    if not room.add(url):
        raise Invalid(f"The kept address is none of {scheme}'s.")
    if not room.notify(body=message.text, title=message.subject):
        raise Transient(f"{scheme} did not take the message.")


# What would happen ------------------------------------------------------------------------------


async def fault_of(resources: Resources, channel: Channel) -> str | None:
    """Why the channel cannot be told, as far as can be seen without telling it."""
    try:
        if channel.kind is ChannelKind.email:
            refuse_no_mail(resources.settings)
        else:
            name = "secret" if channel.kind is ChannelKind.webhook else "url"
            await revealed(resources, channel.config[name])
    except AppError as refusal:
        return refusal.detail
    return None
