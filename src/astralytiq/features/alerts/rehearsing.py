"""Who would be told what: seen before it matters."""

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, jobs
from astralytiq.core.offers import FIGURES
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor

from . import channels, telling, words
from .models import Channel, Rule
from .schemas import RehearsalRead, WouldTell
from .watching import OPERATORS
from .words import Change


async def rehearse(
    resources: Resources, session: AsyncSession, actor: Actor, rule: Rule, *, send: bool
) -> RehearsalRead:
    figure = FIGURES.get(rule.metric)
    value = await figure.measure(session) if figure else None
    fires = value is not None and OPERATORS[rule.operator](value, rule.threshold)
    message = words.message(
        Change.test, [words.rehearsed(rule, value)], "test", resources.settings.base_url
    )
    tells = []
    for channel in await channels.named(session, rule.channels):
        told = WouldTell(
            channel=channel.name,
            kind=channel.kind,
            to=channels.shown(channel),
            subject=message.subject,
            text=message.text,
            fault=await telling.fault_of(resources, channel),
        )
        told.job_id = await sent(session, actor, rule, channel) if send else None
        tells.append(told)
    return RehearsalRead(metric=rule.metric, value=value, would_fire=fires, tells=tells)


async def sent(session: AsyncSession, actor: Actor, rule: Rule, channel: Channel) -> str | None:
    audit.record(session, actor, "alert_rule.tested", f"alert_rule/{rule.id}", channel=channel.id)
    job = await jobs.enqueue(
        session,
        telling.NOTIFY,
        owner_id=actor.id,
        max_attempts=1,
        channel_id=channel.id,
        change=Change.test,
        alert_ids=[],
        rule_id=rule.id,
    )
    return job.id if job else None
