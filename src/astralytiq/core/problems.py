"""Words every refusal as RFC 9457 problem+json: what, why, and what to do next."""

import errno
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from astralytiq.core.errors import (
    AppError,
    Conflict,
    Fault,
    Invalid,
    PreconditionFailed,
    Unavailable,
)
from astralytiq.core.logging import request_id

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
    return problem(
        error.status,
        error.title,
        error.detail,
        instance=request.url.path,
        faults=error.faults,
        headers=error.headers,
    )


async def refuse_input(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [Fault(tuple(e["loc"]), str(e["msg"]), str(e["type"])) for e in error.errors()]
    named = "; ".join(f"{'.'.join(map(str, f.loc))}: {f.msg}" for f in faults[:5])
    return problem(
        422,
        "Invalid input",
        f"Correct and send again: {named}",
        instance=request.url.path,
        faults=faults,
    )


async def refuse_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    title, detail = HTTPStatus(error.status_code).phrase, str(error.detail)
    if error.status_code == 404 and detail == title:
        detail = "There is nothing at this path; /docs lists what there is."
    return problem(
        error.status_code,
        title,
        detail,
        instance=request.url.path,
        headers=dict(error.headers or {}),
    )


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


def is_about_space(error: DBAPIError) -> bool:
    """SQLite says so in words; PostgreSQL by SQL state 53100, "disk full"."""
    full = getattr(error.orig, "sqlstate", None) == "53100"
    return full or "database or disk is full" in str(error.orig)


def disk_is_full(request: Request) -> JSONResponse:
    words = "The disk is full: free some space, then try again. Nothing was stored."
    return problem(507, "Insufficient storage", words, instance=request.url.path)


async def refuse_database(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and is_about_a_value(error):
        return await refuse_value(request, error)
    log.error("database error", exc_info=error)
    if isinstance(error, DBAPIError) and is_about_space(error):
        return disk_is_full(request)
    return await refuse(request, Unavailable("The database does not answer; try again shortly."))


async def refuse_outage(request: Request, error: Exception) -> JSONResponse:
    """Something outside of us is away or full; a programming error is none of these."""
    log.error("a dependency failed", exc_info=error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_is_full(request)
    return await refuse(request, Unavailable("Something we depend on is away; try again shortly."))


def last_resort() -> JSONResponse:
    """For errors nobody foresaw: nothing of the inside leaves the house but the request's id."""
    return problem(
        500, "Internal error", "This is our fault. Report the request_id: the log has the details."
    )


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
