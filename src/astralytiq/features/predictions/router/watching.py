"""Doors for watching a model."""

from typing import Annotated

from fastapi import Query

from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import House, Session, needs
from astralytiq.features.predictions import shadowing, watching
from astralytiq.features.predictions.schemas_watching import Monitoring, ShadowRead, ShadowWanted

from .asking import models

Reader = Annotated[Actor, needs("models:read")]
Writer = Annotated[Actor, needs("models:write")]
WINDOW = r"^[1-9]\d{0,2}[hd]$"


@models.get("/{name}/monitoring")
async def monitor_model(
    house: House,
    actor: Reader,
    name: str,
    window: Annotated[
        str | None, Query(pattern=WINDOW, description="such as 24h or 7d (the default), up to 31d")
    ] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    version: Id | None = None,
) -> Monitoring:
    """Traffic, latency, and drift of inputs, answers and quality, by whole hours."""
    asked = watching.Asked(window, since, until, version)
    return await watching.monitoring(house, name, asked)


@models.get("/{name}/shadow")
async def read_shadow(session: Session, actor: Reader, name: str) -> ShadowRead:
    """How the challenger does beside the version that answers."""
    return await shadowing.report(session, name)


@models.post("/{name}/shadow")
async def start_shadow(
    session: Session, actor: Writer, name: str, body: ShadowWanted
) -> ShadowRead:
    """Let a version score the same requests, unseen by those who ask."""
    return await shadowing.start(session, actor, name, body)


@models.delete("/{name}/shadow")
async def end_shadow(session: Session, actor: Writer, name: str) -> ShadowRead:
    """End it; what it had to say stays."""
    return await shadowing.end(session, actor, name)
