"""What every room's doors share, and the names by which they know it: pages are made in `paging`,
versions named in `versions`.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.routing import Match
from starlette.types import Scope

from astralytiq.core import idempotency
from astralytiq.core.errors import AppError, Unauthenticated, UnsupportedMedia
from astralytiq.core.idempotency import KeptAnswer
from astralytiq.core.limits import Spent
from astralytiq.core.paging import PageAsked as PageAsked
from astralytiq.core.paging import describe_page as describe_page
from astralytiq.core.paging import paged as paged
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.versions import SAFE_METHODS as SAFE_METHODS
from astralytiq.core.versions import etag as etag
from astralytiq.core.versions import mark as mark
from astralytiq.core.versions import refuse_stale as refuse_stale
from astralytiq.core.versions import unless_known

API = "/api/v1"

Authenticate = Callable[[Request], Awaitable[Actor]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handle = Callable[[Request], Coroutine[Any, Any, Response]]


# Resources and transactions ---------------------------------------------------------------------


def app_resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


# Like every dependency of ours it is a coroutine: FastAPI calls a plain function in a thread, which
# costs a request more than most of what our dependencies do.
async def resources_of_request(request: Request) -> Resources:
    return app_resources(request)


House = Annotated[Resources, Depends(resources_of_request)]


async def request_transaction(request: Request) -> AsyncIterator[AsyncSession]:
    database = app_resources(request).database
    if request.method in SAFE_METHODS:
        async with database.reading() as session:
            yield session
        return
    async with database.transaction() as session:
        await recall(request, session)
        try:
            yield session
        except AppError as refusal:
            if refusal.keep:
                await forget(request)  # Refused is not answered: the key may be used again.
            raise


# "function" commits before the answer is sent; FastAPI's default would commit after it.
Session = Annotated[AsyncSession, Depends(request_transaction, scope="function")]


# Who is calling ---------------------------------------------------------------------------------


async def caller(request: Request) -> Actor:
    """The actor of this request, found once by the feature that knows accounts."""
    known: dict[str, Any] = request.scope.setdefault("state", {})
    if "actor" not in known:
        authenticate: Authenticate = request.app.state.authenticate
        try:
            actor = await authenticate(request)
        except Unauthenticated:
            charge(request, budget_of(request), address_of(request))  # Guessing is not free.
            raise
        known["actor"] = actor
        charge(request, budget_of(request), identity_of(request, actor))
    found: Actor = known["actor"]
    return found


def identity_of(request: Request, actor: Actor) -> str:
    """A key has a budget of its own beside its owner's."""
    if actor.id is None:
        return address_of(request)
    return actor.via if actor.via.startswith("key:") else f"user:{actor.id}"


def address_of(request: Request) -> str:
    return f"address:{request.client.host if request.client else 'unknown'}"


def budget_of(request: Request) -> str:
    return getattr(request.scope.get("endpoint"), "budget", "general")


def charge(request: Request, budget: str, identity: str) -> None:
    try:
        standing = app_resources(request).limits.charge(budget, identity)
    except Spent as refusal:
        request.state.standing = refusal.standing
        raise
    if standing:
        request.state.standing = standing


def charged_to(budget: str) -> Callable[[Endpoint], Endpoint]:
    """The door's requests count in a budget of their own (`Settings.budgets` names them)."""

    def marked(endpoint: Endpoint) -> Endpoint:
        endpoint.budget = budget  # type: ignore[attr-defined]
        return endpoint

    return marked


async def charge_visitor(request: Request) -> None:
    charge(request, "open", address_of(request))


# For doors that open without a sign-in.
OpenBudget = Depends(charge_visitor)


async def allowed(request: Request, needed: SecurityScopes) -> Actor:
    """`openapi.py` knows closed doors by this function."""
    actor = await caller(request)
    actor.require(*needed.scopes)
    if not needed.scopes:
        _ = actor.account_id  # Any account will do, but it must be one.
    return actor


def needs(*scopes: str) -> Any:
    """The door opens to actors who have all of `scopes`; with none named, to any account."""
    return Security(allowed, scopes=scopes)


# Routes: media types, strict JSON, idempotency -----------------------------


# An escaped NUL; the look-behind leaves an escaped backslash before "u0000" alone.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class StrictRequest(Request):
    """JSON as RFC 8259 has it: NaN and Infinity, which Python's parser accepts, are errors."""

    async def json(self) -> Any:
        body = await self.body()
        # The plain look first: the pattern alone took 8 ms of a body of 400 KB.
        if b"\\u0000" in body and NUL.search(body):
            raise json.JSONDecodeError("a NUL (\\u0000), which no text here may hold", "", 0)
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class Replayed(Exception):
    """This request was answered before; the first answer stands."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__("replayed")
        self.answer = answer


class Door(APIRoute):
    """A route of ours."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()
        expects_body = self.body_field is not None
        expects_form = expects_body and is_form(self.body_field)

        async def handler(request: Request) -> Response:
            if expects_form:
                await refuse_unknown(request)
                refuse_no_form(request)
            elif expects_body:
                refuse_other_media(request)
            strict = request
            if request.method not in SAFE_METHODS:
                strict = StrictRequest(request.scope, request.receive)
            try:
                response = await handle(strict)
            except Replayed as replayed:
                answer = replayed.answer
                return Response(answer.body, answer.status, answer.headers)
            if request.method in SAFE_METHODS:
                return unless_known(request, response)
            await remember(strict, response)
            return response

        return handler


async def refuse_unknown(request: Request) -> None:
    """FastAPI reads an upload before it asks who sends it: we ask first."""
    actor = await caller(request)
    if actor.id is None and not actor.scopes:
        raise Unauthenticated("Sign in first: send 'Authorization: Bearer <token>'.")


def is_form(body_field: Any) -> bool:
    return type(body_field.field_info).__name__ in ("Form", "File")


def refuse_no_form(request: Request) -> None:
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media not in ("", "multipart/form-data"):
        raise UnsupportedMedia(f"Send a form: 'Content-Type: multipart/form-data', not {media!r}.")


def refuse_other_media(request: Request) -> None:
    if "content-type" not in request.headers and not has_body(request):
        return
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMedia(f"Send JSON with 'Content-Type: application/json', not {media!r}.")


def has_body(request: Request) -> bool:
    chunked = "transfer-encoding" in request.headers
    return chunked or request.headers.get("content-length", "0") != "0"


class Room(APIRouter):
    """A feature's router. Paths of other rooms are passed over as a whole: FastAPI would try each
    of its doors, twice, for every request to a later room."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if not scope["path"].removeprefix(API).startswith(self.prefix):
            return Match.NONE, {}
        return super().matches(scope)


def room(prefix: str, tag: str) -> APIRouter:
    return Room(prefix=prefix, tags=[tag], route_class=Door)


def template(request: Request) -> str:
    """The path of the door, with names for what it was asked for: "/api/v1/users/{user_id}"."""
    path: str = request.scope["path"]
    route = request.scope.get("route")
    if route is None:
        return path
    within: str = route.path  # A route does not know what its router was included under.
    return f"{API}{within}" if path.startswith(f"{API}/") else within


async def recall(request: Request, session: AsyncSession) -> None:
    key = request.headers.get("idempotency-key")
    media = request.headers.get("content-type", "")
    if key is None or request.method != "POST" or media.startswith("multipart/"):
        return
    actor = await caller(request)
    route = f"{request.method} {request.url.path}?{request.url.query}"
    row, answer = await idempotency.recall(
        session, actor.identity, route, key, await request.body()
    )
    if answer:
        raise Replayed(answer)
    request.state.idempotency = (session, row)


async def remember(request: Request, response: Response) -> None:
    """Keep the answer in the transaction that is still open around the route."""
    if found := getattr(request.state, "idempotency", None):
        session, row = found
        headers = {k: v for k, v in response.headers.items() if k != "content-length"}
        answer = KeptAnswer(response.status_code, headers, bytes(response.body))
        await idempotency.remember(session, row, answer)


async def forget(request: Request) -> None:
    if found := getattr(request.state, "idempotency", None):
        session, row = found
        await idempotency.forget(session, row)
