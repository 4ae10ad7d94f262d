"""Makes the demo's dashboards, events of simulated devices, and rules for alerts."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.security import Actor
from astralytiq.features.accounts import service as accounts
from astralytiq.features.alerts import service as alerts
from astralytiq.features.alerts.models import Rule
from astralytiq.features.alerts.schemas import RuleCreate
from astralytiq.features.dashboards import service as dashboards
from astralytiq.features.dashboards import showing
from astralytiq.features.dashboards.models import Dashboard as Stored
from astralytiq.features.dashboards.schemas import DashboardCreate
from astralytiq.features.telemetry import service as telemetry
from astralytiq.features.telemetry.simulating import Plan, events_of

from . import freezing
from .desk import Desk
from .plans import Dashboard
from .projects import ANALYST
from .rules import RULES

# Three drives of forty minutes, which have just ended; sent again, they are stored once.
DRIVES = Plan(devices=3, rate=0.2, seconds=2_400, seed=6)  # One of them drowses.
RUN = "demo"


# Dashboards -------------------------------------------------------------------------------------


async def make(desk: Desk, plan: Dashboard) -> str:
    """The analyst's, if there is one."""
    actor = await desk.read(lambda session: analyst(session, desk.actor))
    widgets = [await with_ids(desk, widget) for widget in plan.widgets]
    body = DashboardCreate.model_validate(
        {"name": plan.name, "description": plan.description, "widgets": widgets}
    )
    await showing.refuse_faulty(desk.resources, body.widgets)
    await desk.write(partial(ensure, actor, body))
    return f"{len(widgets)} widgets"


async def analyst(session: AsyncSession, otherwise: Actor) -> Actor:
    found = await accounts.find(session, ANALYST)
    return accounts.actor_for(found, "demo") if found and found.is_active else otherwise


async def ensure(actor: Actor, body: DashboardCreate, session: AsyncSession) -> None:
    mine = select(Stored.id).filter_by(owner_id=actor.account_id, name=body.name)
    if await session.scalar(mine.limit(1)) is None:
        await dashboards.create(session, actor, body)


async def with_ids(desk: Desk, value: Any) -> Any:
    """Where "{name}" stands, the id of the data set with this name."""
    if isinstance(value, dict):
        return {key: await with_ids(desk, one) for key, one in value.items()}
    if isinstance(value, str) and value.startswith("{"):
        name, _, rest = value.removeprefix("{").partition("}")
        return f"{(await freezing.get(desk, name)).id}{rest}"
    return value


# Events -----------------------------------------------------------------------------------------


async def send_events(desk: Desk) -> str:
    start = utc_now() - timedelta(seconds=DRIVES.seconds)
    events = [event for _, event in events_of(DRIVES, RUN, start)]
    body = json.dumps({"events": events}).encode()
    await telemetry.record_batch(desk.resources, body, is_lines=False)
    return f"{len(events)} events of {DRIVES.devices} devices, simulated"


# Alerts -----------------------------------------------------------------------------------------


async def watch(desk: Desk) -> str:
    await desk.write(partial(ensure_rules, desk))
    return f"{len(RULES)} rules, which tell nobody yet"


async def ensure_rules(desk: Desk, session: AsyncSession) -> None:
    """Names are unique: one that somebody took meanwhile stays theirs."""
    taken = set(await session.scalars(select(Rule.name)))
    for rule in RULES:
        body = RuleCreate.model_validate(rule)
        if body.name not in taken:
            await alerts.create_rule(session, desk.actor, body)
