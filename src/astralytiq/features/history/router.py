"""HTTP doors of the history room."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from astralytiq.core.lineage import Kind
from astralytiq.core.schemas import Id, Moment
from astralytiq.core.security import Actor
from astralytiq.core.web import House, PageAsked, Session, charged_to, needs, room

from . import export, graph, service, things, views
from .schemas import AuditRead, Direction, ExportFormat, LineageRead, VerdictRead
from .service import EntryRow, Filters, Link, Verdict

router = room("/audit", "history")
lineage = room("/lineage", "history")
datasets = room("/datasets", "history")

Admin = Annotated[Actor, needs("audit:read")]
EXPECTED = r"^[0-9]{1,18}:[0-9a-f]{64}$"
FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media.partition(";")[0]: {} for media in export.MEDIA_TYPES.values()}}
}


async def filters_asked(
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


# Lineage ----------------------------------------------------------------------------------------

Reader = Annotated[Actor, needs("data:read")]
Way = Annotated[Direction, Query(description="what it came of, what came of it, or both")]
Depth = Annotated[int, Query(ge=1, le=50, description="how many edges away")]


@lineage.get("/{kind}/{thing_id}")
async def read_lineage(
    session: Session,
    actor: Reader,
    kind: Kind,
    thing_id: str,
    direction: Way = Direction.both,
    depth: Depth = 20,
) -> LineageRead:
    """Predictions are shown to those who may see them."""
    start = await things.find(session, kind, thing_id)
    return views.read(await graph.around(session, actor, start, direction, depth))


@datasets.get("/{dataset_id}/lineage")
async def read_lineage_of_dataset(
    session: Session,
    actor: Reader,
    dataset_id: Id,
    version: Annotated[Id | None, Query(description="default: the newest version")] = None,
    direction: Way = Direction.both,
    depth: Depth = 20,
) -> LineageRead:
    start = await things.version_of(session, dataset_id, version)
    return views.read(await graph.around(session, actor, start, direction, depth))
