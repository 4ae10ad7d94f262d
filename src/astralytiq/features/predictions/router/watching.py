"""Doors for watching a model."""

from typing import Annotated

from fastapi import Query

from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import House, needs
from astralytiq.features.predictions import watching
from astralytiq.features.predictions.schemas_watching import Monitoring

from .asking import models

Reader = Annotated[Actor, needs("models:read")]
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
