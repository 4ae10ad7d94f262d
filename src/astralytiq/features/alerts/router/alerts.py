"""Doors to alerts: what fires, and what has fired."""

from collections.abc import Sequence

from fastapi import Request, Response

from astralytiq.core.schemas import Id
from astralytiq.core.web import PageAsked, Session, describe_page, room
from astralytiq.features.alerts import service
from astralytiq.features.alerts.models import Alert, AlertStatus, Severity
from astralytiq.features.alerts.schemas import Acknowledgement, AlertRead

from .rules import Reader, Writer

alerts = room("/alerts", "alerts")


@alerts.get("", response_model=list[AlertRead])
async def list_alerts(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    status: AlertStatus | None = None,
    severity: Severity | None = None,
) -> Sequence[Alert]:
    found, total = await service.list_alerts(session, status, severity, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@alerts.get("/{alert_id}", response_model=AlertRead)
async def read_alert(session: Session, actor: Reader, alert_id: Id) -> Alert:
    return await service.get_alert(session, alert_id)


@alerts.post("/{alert_id}/acknowledge", response_model=AlertRead)
async def acknowledge_alert(
    session: Session, actor: Writer, alert_id: Id, body: Acknowledgement | None = None
) -> Alert:
    alert = await service.get_alert(session, alert_id)
    return await service.acknowledge(session, actor, alert, body.note if body else None)
