"""HTTP doors of the telemetry room.

Those that take events read the body themselves: msgspec in place of pydantic, and no session. Their
answers, and those that dashboards ask for again and again, are encoded by it, too.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request, Response

from astralytiq.core.errors import UnsupportedMedia
from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    app_resources,
    charged_to,
    describe_page,
    mark,
    needs,
    refuse_other_media,
    refuse_stale,
    room,
)

from . import devices as registry
from . import recent, service, statistics
from .models import Device
from .reading import EventFilters
from .schemas import (
    MOST_EVENTS,
    MOST_RECENT,
    NAME_LENGTH,
    BatchLogged,
    CacheCleared,
    DeviceChange,
    DeviceDeleted,
    DeviceRead,
    EventLogged,
    PerclosMinute,
    RecentEvents,
    Statistics,
    TelemetrySummary,
    schema_of_reading,
)

telemetry = room("/telemetry", "telemetry")
figures = room("/statistics", "telemetry")
dashboard = room("/dashboard", "telemetry")
events = room("/events", "telemetry")
devices = room("/devices", "telemetry")

Writer = Annotated[Actor, needs("telemetry:write")]
Reader = Annotated[Actor, needs("telemetry:read")]
Admin = Annotated[Actor, needs("telemetry:admin")]
DeviceId = Annotated[str | None, Query(max_length=NAME_LENGTH, description="as it calls itself")]

LINES = ("application/x-ndjson", "application/ndjson")
READING = schema_of_reading()
BATCH = {
    "type": "object",
    "title": "Batch",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": {"type": "array", "minItems": 1, "maxItems": MOST_EVENTS, "items": READING}
    },
}


def body_of(**content: Any) -> dict[str, Any]:
    found = {media: {"schema": schema} for media, schema in content.items()}
    return {"requestBody": {"required": True, "content": found}}


ONE_EVENT = body_of(**{"application/json": READING})
MANY_EVENTS = body_of(
    **{"application/json": BATCH, LINES[0]: {"type": "string", "description": "an event a line"}}
)


def answered(found: Any) -> Response:
    return Response(msgspec.json.encode(found), media_type="application/json")


# Events -----------------------------------------------------------------------------------------


@telemetry.post("", response_model=EventLogged, openapi_extra=ONE_EVENT)
@charged_to("telemetry")
async def post_event(request: Request, actor: Writer) -> Response:
    """Answered once it is durable. Sent again with its event_id it is stored once."""
    refuse_other_media(request)
    return answered(await service.record(app_resources(request), await request.body()))


@telemetry.post("/batch", response_model=BatchLogged, openapi_extra=MANY_EVENTS)
@charged_to("telemetry")
async def post_batch(request: Request, house: House, actor: Writer) -> Response:
    """1 to 10,000 events, all or none: as JSON, or an event a line (NDJSON)."""
    is_lines = sends_lines(request)
    return answered(await service.record_batch(house, await request.body(), is_lines=is_lines))


def sends_lines(request: Request) -> bool:
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media in LINES:
        return True
    try:
        refuse_other_media(request)
    except UnsupportedMedia:
        words = f"Send 'Content-Type: application/json' or {LINES[0]!r}, not {media!r}."
        raise UnsupportedMedia(words) from None
    return False


@telemetry.get("/perclos", response_model=list[PerclosMinute])
async def read_perclos(
    session: Session,
    actor: Reader,
    device: Annotated[str, Query(max_length=NAME_LENGTH, description="as it calls itself")],
    since: Annotated[Moment | None, Query(description="default: an hour before until")] = None,
    until: Annotated[Moment | None, Query(description="default: now")] = None,
) -> Response:
    """The share of each minute in which the eyes were closed, where events cover it."""
    return answered(await statistics.perclos_minutes(session, device, since, until))


@figures.get("", response_model=Statistics)
async def read_statistics(
    session: Session,
    actor: Reader,
    device: DeviceId = None,
    since: Annotated[Moment | None, Query(description="at this time or later")] = None,
    until: Annotated[Moment | None, Query(description="before this time")] = None,
) -> Response:
    return answered(await statistics.statistics(session, EventFilters(device, since, until)))


@dashboard.get("", response_model=TelemetrySummary)
async def read_dashboard(session: Session, actor: Reader) -> Response:
    return answered(await statistics.summary(session))


@events.get("/recent", response_model=RecentEvents)
async def read_recent(
    session: Session,
    actor: Reader,
    limit: Annotated[int, Query(ge=1, le=MOST_RECENT)] = 100,
) -> Response:
    return answered(await recent.recent(session, limit))


@events.delete("/cache", response_model=CacheCleared)
async def clear_cache(session: Session, actor: Admin) -> dict[str, Any]:
    """Empties the list of recent events. What is stored stays."""
    return await recent.clear(session, actor)


# Devices ----------------------------------------------------------------------------------------


@devices.get("", response_model=list[DeviceRead])
async def list_devices(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    device_id: DeviceId = None,
) -> Sequence[Device]:
    found, total = await registry.list_all(session, device_id, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@devices.get("/{device}", response_model=DeviceRead)
async def read_device(response: Response, session: Session, actor: Reader, device: Id) -> Device:
    found = await registry.get(session, device)
    mark(response, found)
    return found


@devices.put("/{device}", response_model=DeviceRead)
@devices.patch("/{device}", response_model=DeviceRead)
async def rename_device(
    request: Request,
    response: Response,
    session: Session,
    actor: Admin,
    device: Id,
    body: DeviceChange,
) -> Device:
    found = await registry.get(session, device)
    refuse_stale(request, found)
    await registry.rename(session, actor, found, body.name)
    mark(response, found)
    return found


@devices.delete("/{device}", response_model=DeviceDeleted, status_code=202)
async def delete_device(
    request: Request, response: Response, session: Session, actor: Admin, device: Id
) -> dict[str, Any]:
    """With all that it sent. A device that sends again under its id is a new one."""
    found = await registry.get(session, device)
    refuse_stale(request, found)
    device_id = found.device_id
    job = await registry.delete(session, actor, found)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return {"job_id": job.id, "status": job.status, "device_id": device_id}
