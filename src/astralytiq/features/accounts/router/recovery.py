"""Doors for those who cannot sign in yet, or should no longer; and tickets for WebSockets."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from astralytiq.core.errors import AppError, UnsupportedMedia
from astralytiq.core.schemas import Id
from astralytiq.core.web import House, OpenBudget, PageAsked, Session, paged
from astralytiq.features.accounts import links, pages, signing_out, tickets
from astralytiq.features.accounts.deps import Account, CameFrom, SameOrigin, Throttled
from astralytiq.features.accounts.models import Purpose
from astralytiq.features.accounts.schemas import (
    Asked,
    ForgottenPassword,
    Invitation,
    Invited,
    LinkRead,
    NewPassword,
    SessionRead,
    TicketRead,
    UserRead,
)
from astralytiq.features.accounts.throttle import address_key

from .auth import auth, no_store, shown
from .users import UserReader, UserWriter, users

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
RESET_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": NewPassword.model_json_schema()} for media in (JSON, FORM)},
    }
}
PAGES: dict[int | str, dict[str, Any]] = {
    status: {"content": {"text/html": {}}} for status in (200, 400, 422)
}

# A forgotten password ---------------------------------------------------------------------------


@auth.post(
    "/password/forgot", status_code=202, dependencies=[SameOrigin, OpenBudget, Depends(no_store)]
)
async def ask_for_link(house: House, session: Session, body: ForgottenPassword) -> Asked:
    """Mails a one-time link, if there is such an account; the answer does not tell."""
    await links.ask(session, house.settings, body.email)
    return Asked()


@auth.get("/password/reset", response_class=HTMLResponse)
async def show_reset_page(token: str = "") -> HTMLResponse:
    """The page behind a link. It uses nothing up: mail programs open links by themselves."""
    return page(pages.ask(token))


@auth.post(
    "/password/reset",
    status_code=204,
    response_class=Response,
    responses=PAGES,
    openapi_extra=RESET_BODY,
    dependencies=[OpenBudget],
)
async def reset_password(
    house: House, request: Request, throttle: Throttled, origin: CameFrom
) -> Response:
    """Sets a password by a one-time link. A form is answered with a page."""

    async def set_password(sent: NewPassword) -> None:
        user_id = await links.set_password(house, sent.token, sent.new_password)
        throttle.trust(str(user_id), address_key(origin.address))

    if media_of(request) == FORM:
        return await reset_by_page(request, set_password)
    if media_of(request) != JSON:
        raise UnsupportedMedia("Send JSON, or a form with token and new_password.")
    try:
        sent = checked(await request.json())
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body",), "msg": f"not valid JSON: {error.msg}"}
        raise RequestValidationError([fault]) from None
    await set_password(sent)
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def reset_by_page(
    request: Request, set_password: Callable[[NewPassword], Awaitable[None]]
) -> HTMLResponse:
    form = await request.form()
    given = {name: form[name] for name in NewPassword.model_fields if name in form}
    try:
        sent = checked(given)
        await set_password(sent)
    except RequestValidationError as error:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return page(pages.ask(str(given.get("token", "")), faults), 422)
    except AppError as refusal:
        if refusal.status == 422:  # The password is no good, the link still is.
            return page(pages.ask(sent.token, refusal.detail), 422)
        return page(pages.refused(refusal.detail), refusal.status)
    return page(pages.done())


def media_of(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


def checked(given: Any) -> NewPassword:
    try:
        return NewPassword.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        located = [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        raise RequestValidationError(located) from None


def page(content: str, status: int = 200) -> HTMLResponse:
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": pages.CSP}
    return HTMLResponse(content, status, headers)


# Links that admins make -------------------------------------------------------------------------
# They take no `Session`: an answer with a secret is not kept for an Idempotency-Key.


@users.post("/invite", status_code=201, dependencies=[Depends(no_store)])
async def invite_user(house: House, actor: UserWriter, body: Invitation) -> Invited:
    """Makes an account and a link by which its owner sets the first password."""
    link = await links.invite(
        house,
        actor,
        email=body.email,
        username=body.username,
        role=body.role,
        full_name=body.full_name,
    )
    mailed = await links.mail_invitation(house.settings, link)
    user = UserRead.model_validate(link.user)
    return Invited(link=link.address, expires_at=link.expires_at, user=user, mailed=mailed)


@users.post("/{user_id}/link", status_code=201, dependencies=[Depends(no_store)])
async def make_link(house: House, actor: UserWriter, user_id: Id) -> LinkRead:
    """A new link to hand over, by which the account's owner sets a password within the hour."""
    purpose = Purpose.password_reset
    link = await house.database.write(
        lambda session: links.renew(session, house.settings, actor, user_id, purpose)
    )
    return LinkRead(link=link.address, expires_at=link.expires_at)


# Sessions of an account, for admins -------------------------------------------------------------


@users.get("/{user_id}/sessions")
async def list_user_sessions(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: UserReader,
    user_id: Id,
) -> list[SessionRead]:
    found = await signing_out.sessions_of(session, user_id)
    return shown(request, paged(request, response, page, found))


@users.delete("/{user_id}/sessions", status_code=204)
async def end_user_sessions(session: Session, actor: UserWriter, user_id: Id) -> None:
    """Signs the account out everywhere; its API keys go on."""
    await signing_out.sign_out(session, actor, user_id)


# Tickets ----------------------------------------------------------------------------------------


@auth.post("/ws-ticket", dependencies=[Depends(no_store)])
async def make_ticket(house: House, request: Request, actor: Account) -> TicketRead:
    """For one WebSocket, opened at once: `?ticket=` in its address."""
    session_id = getattr(request.state, "session_id", None)
    ticket = await house.database.write(lambda s: tickets.issue(s, actor, session_id))
    return TicketRead(ticket=ticket, expires_in=int(tickets.LIFE.total_seconds()))
