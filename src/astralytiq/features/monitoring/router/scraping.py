"""The door for Prometheus."""

import asyncio
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from astralytiq.core.metrics import Performance
from astralytiq.core.security import Actor
from astralytiq.core.web import House, needs, room
from astralytiq.features.monitoring import exposition, tables
from astralytiq.features.monitoring.gauges import Gauges

scraped = room("/metrics", "monitoring")

Scraper = Annotated[Actor, needs("metrics:read")]
OPENMETRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/openmetrics-text": {}}}
}


@scraped.get("", response_class=PlainTextResponse, responses=OPENMETRICS)
async def scrape(request: Request, house: House, actor: Scraper) -> Response:
    """Requests as this process counted them; figures of the rooms are five seconds old at most."""
    measured: Performance = request.app.state.performance
    found = exposition.Exposition(
        settings=house.settings,
        requests=measured.snapshot(),
        in_progress=measured.in_progress,
        pools=tables.pools(house.database),
        measured=await house.own("gauges", Gauges).read(),
    )
    accept = request.headers.get("accept", "")
    content, media_type = await asyncio.to_thread(exposition.written, found, accept)
    return Response(content, headers={"Content-Type": media_type})
