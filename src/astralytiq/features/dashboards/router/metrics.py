"""Doors to the figures of the platform."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Request, Response

from astralytiq.core.security import Actor
from astralytiq.core.web import House, PageAsked, Session, needs, paged, room
from astralytiq.features.dashboards import platform
from astralytiq.features.dashboards.sampling import sampler_of
from astralytiq.features.dashboards.schemas import MetricRead, MetricsRead

metrics = room("/metrics", "dashboards")

Reader = Annotated[Actor, needs("dashboards:read")]


@metrics.get("")
async def read_metrics(
    request: Request, house: House, session: Session, actor: Reader
) -> MetricsRead:
    return await platform.measured(session, sampler_of(house, request.app.state.performance))


@metrics.get("/figures")
async def list_figures(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Reader
) -> Sequence[MetricRead]:
    """What widgets and alert rules can name."""
    return paged(request, response, page, await platform.catalogue(session))
