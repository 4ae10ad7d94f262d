"""Doors that watch runs: what happens in one, how two differ, which are out of the ordinary."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
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

STREAM = "text/event-stream"
TEXT = {"type": "string"}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            STREAM: {
                "schema": {  # of each event
                    "type": "object",
                    "properties": {"id": TEXT, "event": TEXT, "data": TEXT},
                    "required": ["event", "data"],
                }
            }
        }
    }
}
# A comparison shows values of the records.
Comparer = Annotated[Actor, needs("runs:read", "data:read")]


@etl.get("/runs/{run_id}/events", response_model=list[RunEventRead], responses=STREAMED)
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
    accept = request.headers.get("accept", STREAM)
    since = after or events.number_in(last_event_id)
    async with house.database.reading() as session:
        run = await service.get_run(session, run_id)
        if "application/json" in accept and STREAM not in accept:
            return await events.list_events(session, run_id, since)
    reader = identity_of(request, actor)
    events.refuse_more(house.settings, reader)
    told = events.stream(house.database, request.app.state.broadcast, run, since)
    told = events.counted(reader, told)
    return StreamingResponse(told, media_type=STREAM, headers=events.UNBUFFERED)


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
