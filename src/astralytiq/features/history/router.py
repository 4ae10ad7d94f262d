"""HTTP doors of the history room."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import House, PageAsked, Session, charged_to, needs, room

from . import export, service
from .schemas import AuditRead, ExportFormat, VerdictRead
from .service import EntryRow, Filters, Link, Verdict

router = room("/audit", "history")

Admin = Annotated[Actor, needs("audit:read")]
EXPECTED = r"^[0-9]{1,18}:[0-9a-f]{64}$"
FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media.partition(";")[0]: {} for media in export.MEDIA_TYPES.values()}}
}


def filters_asked(
    actor: Annotated[
        str | None,
        Query(max_length=500, description="an account's id or email, 'system' or 'anonymous'"),
    ] = None,
    action: Annotated[
        str | None, Query(max_length=500, description="its beginning, such as 'user.'")
    ] = None,
    resource: Annotated[
        str | None, Query(max_length=500, description="'dataset/7', or 'dataset/' for all of them")
    ] = None,
    outcome: Annotated[str | None, Query(max_length=500)] = None,
    since: Annotated[Moment | None, Query(description="at this time or later")] = None,
    until: Annotated[Moment | None, Query(description="before this time")] = None,
) -> Filters:
    return Filters(actor, action, resource, outcome, since, until)


@router.get("", response_model=list[AuditRead], responses=FILES)
async def list_entries(
    request: Request,
    response: Response,
    house: House,
    session: Session,
    page: PageAsked,
    actor: Admin,
    filters: Annotated[Filters, Depends(filters_asked)],
    before: Annotated[Id | None, Query(description="only entries with a lower sequence")] = None,
    format: Annotated[
        ExportFormat | None, Query(description="all that match as a file, oldest first")
    ] = None,
) -> Sequence[EntryRow] | Response:
    """Newest first. The links name `before`: entries that come in meanwhile shift no page."""
    below = before or await service.end_of_chain(session) + 1
    conditions = await service.matching(session, filters)
    total = await service.count(session, conditions, below)
    if format:
        lines = export.lines(house.database, conditions, below, format)
        return as_file(StreamingResponse(lines, media_type=export.MEDIA_TYPES[format]), format)
    response.headers["X-Total-Count"] = str(total)
    response.headers["Link"] = page.links(request.url.include_query_params(before=below), total)
    return await service.newest(session, conditions, below, page.limit, page.offset)


def as_file(response: Response, kind: ExportFormat) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="audit.{kind}"'
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/verify", response_model=VerdictRead)
@charged_to("expensive")
async def verify(
    house: House,
    actor: Admin,
    expect: Annotated[
        str | None,
        Query(pattern=EXPECTED, description="SEQUENCE:HASH of an end of the chain noted earlier"),
    ] = None,
) -> Verdict:
    """Read all of the chain and name the first row that does not fit."""
    sequence, _, noted = (expect or "").partition(":")
    return await service.verify(house.database, Link(int(sequence), noted) if expect else None)
