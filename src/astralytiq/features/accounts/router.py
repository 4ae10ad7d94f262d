"""HTTP doors of the accounts room."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from astralytiq.core import security
from astralytiq.core.errors import UnsupportedMedia
from astralytiq.core.security import Actor
from astralytiq.core.web import House, PageAsked, Session, describe_page, needs, room

from . import service
from .models import User
from .schemas import Credentials, Registration, SignedIn, UserCreate, UserRead

auth = room("/auth", "accounts")
users = room("/users", "accounts")

LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": Credentials.model_json_schema()},
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {
                        "grant_type": {"type": "string", "pattern": "^password$"},
                        "username": {"type": "string", "description": "username or email"},
                        "password": {"type": "string"},
                    },
                }
            },
        },
    }
}


async def credentials_sent(request: Request) -> Credentials:
    """JSON, or the form of an OAuth2 password grant: existing clients use both."""
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media == "application/json":
        given = await request.json()
    elif media == "application/x-www-form-urlencoded":
        form = await request.form()
        given = {name: form[name] for name in ("username", "password") if name in form}
    else:
        raise UnsupportedMedia("Send JSON, or a form with username and password.")
    try:
        return Credentials.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None


async def credentials_or_fault(request: Request) -> Credentials:
    try:
        return await credentials_sent(request)
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body",), "msg": f"not valid JSON: {error.msg}"}
        raise RequestValidationError([fault]) from None


@auth.post("/register", response_model=UserRead)
async def register(house: House, body: Registration) -> User:
    return await service.register(
        house,
        email=body.email,
        username=body.username,
        password=body.password,
        full_name=body.full_name,
    )


@auth.post("/login", response_model=SignedIn, openapi_extra=LOGIN_BODY)
async def login(
    house: House,
    response: Response,
    credentials: Annotated[Credentials, Depends(credentials_or_fault)],
) -> service.Access:
    response.headers["Cache-Control"] = "no-store"
    return await service.sign_in(house, credentials.account, credentials.password)


@auth.get("/me", response_model=UserRead)
@users.get("/me", response_model=UserRead)
@users.get("/profile", response_model=UserRead)
async def read_me(session: Session, actor: Annotated[Actor, needs()]) -> User:
    return await session.get_one(User, actor.account_id)


@users.get("", response_model=list[UserRead])
async def list_users(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Annotated[Actor, needs("users:read")],
) -> Sequence[User]:
    found, total = await service.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@users.post("", response_model=UserRead, status_code=201)
async def create_user(
    house: House, actor: Annotated[Actor, needs("users:write")], body: UserCreate
) -> User:
    hashed = await security.hash_password(body.password)
    return await house.database.write(
        lambda session: service.create(
            session,
            actor,
            email=body.email,
            username=body.username,
            password_hash=hashed,
            role=body.role,
            full_name=body.full_name,
        )
    )
