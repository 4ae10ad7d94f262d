"""Doors to dashboards, and to what their widgets show."""

from typing import Annotated

from fastapi import Depends, Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)
from astralytiq.features.dashboards import service, showing
from astralytiq.features.dashboards.models import DashboardStatus
from astralytiq.features.dashboards.schemas import (
    DashboardChange,
    DashboardCreate,
    DashboardData,
    DashboardRead,
)
from astralytiq.features.dashboards.views import describe, views_of

dashboards = room("/dashboards", "dashboards")

Reader = Annotated[Actor, needs("dashboards:read")]
Writer = Annotated[Actor, needs("dashboards:write")]


# Widgets are checked before the transaction begins: their data sets' files are looked at.


async def to_create(house: House, actor: Writer, body: DashboardCreate) -> DashboardCreate:
    await showing.refuse_faulty(house, body.widgets)
    return body


async def to_change(house: House, actor: Writer, body: DashboardChange) -> DashboardChange:
    if "widgets" in body.model_fields_set:
        await showing.refuse_faulty(house, body.widgets)
    return body


@dashboards.get("")
async def list_dashboards(
    request: Request,
    response: Response,
    house: House,
    session: Session,
    page: PageAsked,
    actor: Reader,
    status: DashboardStatus | None = None,
) -> list[DashboardRead]:
    found, total = await service.list_visible(session, actor, status, page.limit, page.offset)
    describe_page(request, response, page, total)
    return [describe(house, dashboard) for dashboard in found]


@dashboards.post("", status_code=201)
async def create_dashboard(
    body: Annotated[DashboardCreate, Depends(to_create)],
    response: Response,
    house: House,
    session: Session,
    actor: Writer,
) -> DashboardRead:
    dashboard = await service.create(session, actor, body)
    response.headers["Location"] = f"/api/v1/dashboards/{dashboard.id}"
    mark(response, dashboard)
    return describe(house, dashboard)


@dashboards.get("/{dashboard_id}")
async def read_dashboard(
    response: Response, house: House, session: Session, actor: Reader, dashboard_id: Id
) -> DashboardRead:
    """To read it is to view it: it is counted."""
    dashboard = await service.get(session, actor, dashboard_id)
    views_of(house).count(dashboard_id)
    mark(response, dashboard)
    return describe(house, dashboard)


@dashboards.put("/{dashboard_id}")
@dashboards.patch("/{dashboard_id}")
async def change_dashboard(
    body: Annotated[DashboardChange, Depends(to_change)],
    request: Request,
    response: Response,
    house: House,
    session: Session,
    actor: Writer,
    dashboard_id: Id,
) -> DashboardRead:
    dashboard = await service.get(session, actor, dashboard_id)
    refuse_stale(request, dashboard)
    await service.change(session, actor, dashboard, body)
    mark(response, dashboard)
    return describe(house, dashboard)


@dashboards.delete("/{dashboard_id}", status_code=204)
async def delete_dashboard(
    request: Request, session: Session, actor: Writer, dashboard_id: Id
) -> None:
    dashboard = await service.get(session, actor, dashboard_id)
    refuse_stale(request, dashboard)
    await service.delete(session, actor, dashboard)


@dashboards.post("/{dashboard_id}/duplicate", status_code=201)
async def duplicate_dashboard(
    response: Response, house: House, session: Session, actor: Writer, dashboard_id: Id
) -> DashboardRead:
    """A copy of one's own."""
    copy = await service.duplicate(session, actor, await service.get(session, actor, dashboard_id))
    response.headers["Location"] = f"/api/v1/dashboards/{copy.id}"
    mark(response, copy)
    return describe(house, copy)


@dashboards.get("/{dashboard_id}/data")
async def read_data(
    house: House, session: Session, actor: Reader, dashboard_id: Id
) -> DashboardData:
    """What all widgets show, in one answer; one that cannot be shown says why."""
    dashboard = await service.get(session, actor, dashboard_id)
    return await showing.show(house, session, actor, dashboard)
