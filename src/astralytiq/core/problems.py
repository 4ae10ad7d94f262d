"""Words every refusal as RFC 9457 problem+json: what, why, and what to do next."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from astralytiq.core import audit
from astralytiq.core.errors import (
    AppError,
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    PreconditionFailed,
    Unavailable,
)
from astralytiq.core.logging import client_address, request_id
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor, anonymous
from astralytiq.core.shortages import is_about_space
from astralytiq.core.web import template

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    instance: str = "",
    faults: Iterable[Fault] = (),
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id.get(),
    }
    if errors := [{"loc": list(f.loc), "msg": f.msg, "type": f.type} for f in faults]:
        content["errors"] = errors
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


async def refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)
    if isinstance(error, Forbidden):
        await note_denial(request)
    return problem(
        error.status,
        error.title,
        error.detail,
        instance=request.url.path,
        faults=error.faults,
        headers=error.headers,
    )


async def note_denial(request: Request) -> None:
    """Who tried what they may not is on record: once a minute and door, or floods would fill it."""
    resources: Resources = request.app.state.resources
    actor: Actor = getattr(request.state, "actor", None) or anonymous(frozenset())
    door = f"{request.method} {template(request)}"
    who = str(actor.id or client_address.get())
    if not resources.limits.first("denied", who, door):
        return

    async def store(session: AsyncSession) -> None:
        audit.record(session, actor, "access.denied", door, outcome="refused")

    try:
        await resources.database.write(store)
    except (DBAPIError, OSError) as fault:  # The refusal stands all the same.
        log.error("a denial could not be recorded", extra={"error": str(fault)})


async def refuse_input(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    if request.method not in methods_at(request):
        return await refuse_http(request, HTTPException(405))
    faults = [Fault(place(e), message(e), str(e["type"])) for e in error.errors()]
    named = "; ".join(f"{'.'.join(map(str, f.loc))}: {f.msg}" for f in faults[:5])
    return problem(
        422,
        "Invalid input",
        f"Correct and send again: {named}",
        instance=request.url.path,
        faults=faults,
    )


def message(fault: dict[str, Any]) -> str:
    """Our own words without Pydantic's "Value error, " before them, and its own for people."""
    known = fault.get("ctx", {})
    match fault["type"]:
        case "json_invalid" | "value_error" if "error" in known:
            return str(known["error"])
        case "union_tag_invalid":
            return f"{known['discriminator']} is {known['tag']!r}: use {known['expected_tags']}"
        case "union_tag_not_found":
            return f"{known['discriminator']} is missing"
    return str(fault["msg"])


def place(fault: dict[str, Any]) -> tuple[str | int, ...]:
    """Of a name that may not be there Pydantic marks that it is the name."""
    found = tuple(fault["loc"])
    return found[:-1] if found[-1:] == ("[key]",) else found


async def refuse_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    title, detail = HTTPStatus(error.status_code).phrase, str(error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 404 and detail == title:
        detail = "There is nothing at this path; /docs lists what there is."
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods_at(request))  # The router names one route's alone.
        detail = f"Here one may only {headers['Allow']}."
    return problem(error.status_code, title, detail, instance=request.url.path, headers=headers)


def methods_at(request: Request) -> list[str]:
    """What may be done at this path: /tasks/stats is itself, and no task named "stats"."""
    path = request.scope["path"]
    routes = [route for route in iter_route_contexts(request.app.routes) if route.methods]
    found = [one for one in routes if one.path == path] or [
        one for one in routes if one.path_regex.match(path)
    ]
    methods = {method for one in found for method in one.methods or ()}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)  # heads.py answers it.


async def refuse_clash(request: Request, error: Exception) -> JSONResponse:
    """A constraint is the last guard when two callers race past a service's check."""
    return await refuse(request, Conflict("It clashes with what is stored: read it again first."))


async def refuse_stale(request: Request, error: Exception) -> JSONResponse:
    return await refuse(
        request, PreconditionFailed("Somebody changed it at the same moment: read it again first.")
    )


async def refuse_value(request: Request, error: Exception) -> JSONResponse:
    """No database takes a number beyond 64 bits, and PostgreSQL no NUL in text."""
    return await refuse(
        request, Invalid("It holds a value that cannot be stored: a NUL, or a number too large.")
    )


def is_about_a_value(error: DBAPIError) -> bool:
    """SQL state 22 is "data exception"; asyncpg refuses some values before it sends them."""
    state = getattr(error.orig, "sqlstate", None) or ""
    cause = error.orig.__cause__ if error.orig else None
    return state.startswith("22") or isinstance(cause, ValueError)


def disk_is_full(request: Request) -> JSONResponse:
    words = "The disk is full: free some space, then try again. Nothing was stored."
    return problem(507, "Insufficient storage", words, instance=request.url.path)


async def refuse_database(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and is_about_a_value(error):
        return await refuse_value(request, error)
    log.error("database error", exc_info=error)
    if is_about_space(error):
        return disk_is_full(request)
    return await refuse(request, Unavailable("The database does not answer; try again shortly."))


async def refuse_outage(request: Request, error: Exception) -> JSONResponse:
    """Something outside of us is away or full; a programming error is none of these."""
    log.error("a dependency failed", exc_info=error)
    if is_about_space(error):
        return disk_is_full(request)
    return await refuse(request, Unavailable("Something we depend on is away; try again shortly."))


def last_resort(path: str) -> JSONResponse:
    """For errors nobody foresaw: nothing of the inside leaves the house but the request's id."""
    words = "This is our fault. Report the request_id: the log has the details."
    return problem(500, "Internal error", words, instance=path)


def install(app: FastAPI) -> None:
    app.add_exception_handler(AppError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_input)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(IntegrityError, refuse_clash)
    app.add_exception_handler(StaleDataError, refuse_stale)
    app.add_exception_handler(OverflowError, refuse_value)
    app.add_exception_handler(DBAPIError, refuse_database)
    for outage in (PoolTimeout, ConnectionError, OSError):
        app.add_exception_handler(outage, refuse_outage)
