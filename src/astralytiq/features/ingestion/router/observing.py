"""Doors that watch runs: what happens in one, how two differ, which are out of the ordinary."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Header, Query, Request, Response

from astralytiq.core import sse
from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.streams import TOLD_EVENTS, told_events, wants_list
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    charged_to,
    describe_page,
    identity_of,
    needs,
)
from astralytiq.features.ingestion import anomalies, comparing, events, service
from astralytiq.features.ingestion.anomalies import AnomalyRead
from astralytiq.features.ingestion.comparing import Comparison
from astralytiq.features.ingestion.events import RunEventRead
from astralytiq.features.ingestion.models import RunEvent

from .runs import RunReader, etl

# A comparison shows values of the records.
Comparer = Annotated[Actor, needs("runs:read", "data:read")]


@etl.get("/runs/{run_id}/events", response_model=list[RunEventRead], responses=TOLD_EVENTS)
async def read_events(
    request: Request,
    house: House,
    actor: RunReader,
    run_id: str,
    after: Annotated[Id | None, Query(description="only events with a higher id")] = None,
    last_event_id: Annotated[
        str | None, Header(description="what an event stream takes up again after")
    ] = None,
) -> Sequence[RunEvent] | Response:
    """As server-sent events until the run ends; with `Accept: application/json` those so far, at
    most 500 at once: ask again with `after`.

    Between the events, messages named `progress` say how far the run is; they have no id.
    """
    since = after or sse.number_in(last_event_id)
    async with house.database.reading() as session:
        run = await service.get_run(session, run_id)
        if wants_list(request):
            return await events.list_events(session, run_id, since)
    told = events.stream(house.database, request.app.state.broadcast, run, since)
    return told_events(request, identity_of(request, actor), told)


@etl.get("/runs/{run_id}/compare/{other_id}")
@charged_to("expensive")
async def compare_runs(session: Session, actor: Comparer, run_id: str, other_id: str) -> Comparison:
    """What changed from the first run to the second."""
    return await comparing.compare(session, run_id, other_id)


@etl.get("/anomalies")
async def list_anomalies(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: RunReader,
    source: str | None = None,
) -> list[AnomalyRead]:
    """Runs that differ from their source's own history, newest first."""
    found, total = await anomalies.list_anomalies(session, source, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found
