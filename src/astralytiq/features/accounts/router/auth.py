"""Doors to sign in and out by, and to the sessions that come of it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from astralytiq.core.errors import Invalid, Unauthenticated, UnsupportedMedia
from astralytiq.core.web import (
    House,
    OpenBudget,
    PageAsked,
    Session,
    caller,
    mark,
    paged,
    room,
)
from astralytiq.features.accounts import cookies, csrf, service, sessions, signing_in
from astralytiq.features.accounts.deps import (
    REFRESH_COOKIES,
    Account,
    CameFrom,
    Person,
    SameOrigin,
    Throttled,
    cookie_of,
    session_id_of,
    verified_of,
)
from astralytiq.features.accounts.models import User, UserSession
from astralytiq.features.accounts.schemas import (
    Credentials,
    CsrfToken,
    RefreshRequest,
    Registration,
    SessionRead,
    SignedIn,
    SignedOut,
    SignInStatus,
    UserRead,
)
from astralytiq.features.accounts.sessions import Access

auth = room("/auth", "accounts")


JSON = "application/json"
# Browsers' FormData is sent as the second of them.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MOST_FIELDS, LONGEST_FIELD = 20, 8192  # Nobody has signed in yet.
GRANT = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {
        "grant_type": {"type": "string", "pattern": "^password$"},
        "username": {"type": "string", "description": "username or email"},
        "password": {"type": "string"},
    },
}
LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": Credentials.model_json_schema()},
            **{form: {"schema": GRANT} for form in FORMS},
        },
    }
}


async def credentials_sent(request: Request) -> Credentials:
    """JSON, or the form of an OAuth2 password grant: existing clients use both."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media == JSON:
        given = await request.json()
    elif media in FORMS:
        given = await form_sent(request)
    else:
        raise UnsupportedMedia("Send JSON, or a form with username and password.")
    try:
        return Credentials.model_validate(given)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        for fault in faults:
            fault["loc"] = ("body", *fault["loc"])
        raise RequestValidationError(faults) from None


async def form_sent(request: Request) -> dict[str, Any]:
    """Fields that name neither, such as a client's id, are for other servers."""
    try:
        form = await request.form(max_files=0, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    except HTTPException as fault:
        if fault.status_code != 400:
            raise
        raise Invalid(f"The form cannot be read: {fault.detail}") from None
    return {name: form[name] for name in ("username", "password") if name in form}


async def credentials_or_fault(request: Request) -> Credentials:
    try:
        return await credentials_sent(request)
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body",), "msg": f"not valid JSON: {error.msg}"}
        raise RequestValidationError([fault]) from None


async def no_store(response: Response) -> None:
    """Answers with secrets stay in no cache."""
    response.headers["Cache-Control"] = "no-store"


# The door that is asked most stands first: doors are tried in their order.
@auth.get("/me", response_model=UserRead)
async def read_me(request: Request, response: Response, actor: Account) -> UserRead:
    found = verified_of(request)
    mark(response, found)
    return found.user


# Signing in and out -----------------------------------------------------------------------------


@auth.post("/register", response_model=UserRead, dependencies=[SameOrigin, OpenBudget])
async def register(house: House, body: Registration) -> User:
    service.refuse_common(house.settings, body.password)
    return await service.register(
        house,
        email=body.email,
        username=body.username,
        password=body.password,
        full_name=body.full_name,
    )


@auth.post(
    "/login",
    response_model=SignedIn,
    openapi_extra=LOGIN_BODY,
    dependencies=[SameOrigin, OpenBudget, Depends(no_store)],
)
async def login(
    house: House,
    request: Request,
    response: Response,
    origin: CameFrom,
    throttle: Throttled,
    credentials: Annotated[Credentials, Depends(credentials_or_fault)],
) -> Access:
    access = await signing_in.sign_in(
        house, throttle, credentials.account, credentials.password, origin
    )
    cookies.give(request, response, access, refresh_seconds(house))
    return access


def refresh_seconds(house: House) -> int:
    return int(house.settings.session_idle_hours * 3600)


@auth.post(
    "/refresh", response_model=SignedIn, dependencies=[SameOrigin, OpenBudget, Depends(no_store)]
)
async def refresh(
    house: House, request: Request, response: Response, body: RefreshRequest | None = None
) -> Access:
    token = (body and body.refresh_token) or cookie_of(request, REFRESH_COOKIES)
    if not token:
        raise Unauthenticated(
            "Send a refresh_token: there is neither a body nor a cookie with one."
        )
    access = await house.database.write(lambda s: sessions.refresh(s, house.settings, token))
    cookies.give(request, response, access, refresh_seconds(house))
    return access


@auth.post("/logout")
async def logout(
    request: Request, response: Response, session: Session, actor: Account
) -> SignedOut:
    await sessions.end(session, actor, session_id_of(request))
    cookies.take_away(response)
    return SignedOut()


@auth.get("/status", dependencies=[Depends(no_store)])
async def read_status(request: Request, session: Session) -> SignInStatus:
    try:
        actor = await caller(request)
    except Unauthenticated:  # A stale cookie is no fault of the one who asks.
        return SignInStatus(authenticated=False)
    if actor.id is None:
        return SignInStatus(authenticated=False)
    user = await session.get_one(User, actor.id)
    return SignInStatus(authenticated=True, user=UserRead.model_validate(user))


@auth.get("/csrf-token", dependencies=[Depends(no_store)])
async def read_csrf_token(request: Request, house: House) -> CsrfToken:
    """For clients that sign in by cookie; before the sign-in it is bound to nothing yet."""
    session_id = ""
    with suppress(Unauthenticated):
        await caller(request)
        session_id = getattr(request.state, "session_id", None) or ""
    return CsrfToken(csrf_token=csrf.make(house.settings.signing_key, session_id))


@auth.get("/sessions")
async def list_sessions(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Person
) -> list[SessionRead]:
    found = await sessions.of_user(session, actor.account_id)
    return shown(request, paged(request, response, page, found))


def shown(request: Request, found: Sequence[UserSession]) -> list[SessionRead]:
    """Sessions as their owner or an admin sees them, and which of them asks."""
    current = getattr(request.state, "session_id", None)
    return [
        SessionRead(
            id=one.id,
            device=one.device,
            address=one.address,
            created_at=one.created_at,
            last_seen_at=one.last_seen_at,
            current=one.id == current,
        )
        for one in found
    ]


@auth.delete("/sessions", status_code=204)
async def end_other_sessions(request: Request, session: Session, actor: Person) -> None:
    """All but the one that asks."""
    await sessions.end_all(session, actor.account_id, but=session_id_of(request))


@auth.delete("/sessions/{session_id}", status_code=204)
async def end_session(session: Session, actor: Person, session_id: str) -> None:
    await sessions.end(session, actor, session_id)
