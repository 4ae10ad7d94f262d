"""The OpenAPI document: FastAPI's, with the refusals, headers and ways in that it cannot know.

What an operation may answer is read from its door and from the functions that the door calls, so
that no route has to say it, and none can forget to.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from inspect import unwrap
from types import CodeType, FunctionType, ModuleType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from astralytiq.core import paging, sse, streams, versions, web
from astralytiq.core.errors import AppError
from astralytiq.core.problems import MEDIA_TYPE

Json = dict[str, Any]

DOORS = tuple(module.__name__ for module in (web, paging, versions, streams, sse))
NEAR = ("astralytiq.features.", *DOORS)
SCHEMES: dict[str, Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token from /auth/login, or an API key.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "auth_token",
        "description": "For browsers. Changes also need the header X-CSRF-Token "
        "(/auth/csrf-token), and to come from our own pages.",
    },
}
TEXT, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}
HEADERS: dict[str, Json] = {
    "X-Request-ID": {"description": "the caller's if it is a sane one, else new", "schema": TEXT},
    "X-Process-Time": {"description": "milliseconds", "schema": {"type": "number"}},
    "X-Total-Count": {"description": "how many there are in all", "schema": NUMBER},
    "Link": {"description": "RFC 8288: rel next, prev, first and last", "schema": TEXT},
    "ETag": {"description": "this version, for If-Match and If-None-Match", "schema": TEXT},
    "Location": {"description": "what was made, or where to ask how it goes", "schema": TEXT},
    "Content-Disposition": {"description": "attachment, with a file name", "schema": TEXT},
    "WWW-Authenticate": {"description": "how to sign in", "schema": TEXT},
    "Retry-After": {"description": "seconds", "schema": NUMBER},
    "RateLimit-Limit": {"description": "requests in a window", "schema": NUMBER},
    "RateLimit-Remaining": {"description": "how many of them are left", "schema": NUMBER},
    "RateLimit-Reset": {"description": "seconds until the window ends", "schema": NUMBER},
    "RateLimit-Policy": {"description": "limit;w=seconds", "schema": TEXT},
}
ALWAYS = ("X-Request-ID", "X-Process-Time")
LIMITED = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")
ANSWERED = ("X-Total-Count", "Link", "ETag", "Location", "Content-Disposition")
REFUSALS: dict[int, tuple[str, str]] = {
    400: ("BadRequest", "The request cannot be read, or cannot be met as it is."),
    401: ("NotSignedIn", "Nobody is signed in, or no longer."),
    403: ("NotAllowed", "Signed in, but without the permission."),
    404: ("NotFound", "There is none, or it is somebody else's."),
    409: ("Conflict", "It clashes with what is stored."),
    412: ("Changed", "It is no longer the version that If-Match names."),
    413: ("TooLarge", "The body is too large."),
    415: ("WrongMediaType", "The body has a media type that is not read here."),
    422: ("InvalidInput", "Something in the input is wrong: `errors` says where."),
    429: ("TooManyRequests", "Too fast: wait as long as Retry-After says."),
    503: ("Unavailable", "Something we depend on is away: Retry-After says when to try again."),
    507: ("InsufficientStorage", "The disk or the bucket is full. Nothing was stored."),
}
REFUSAL_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
PROBLEM: Json = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457: what went wrong, why, and what to do next.",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what to do next"},
        "instance": {"type": "string", "description": "the path that was asked"},
        "request_id": {"type": "string", "description": "the log knows it by this"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["loc", "msg", "type"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": TEXT,
                    "type": TEXT,
                },
            },
        },
    },
}
CONDITIONS: dict[str, Json] = {
    "If-Match": {"description": "the ETag that you saw: a version changed since is refused (412)"},
    "If-None-Match": {"description": "the ETag that you have: the same version is 304"},
    "Idempotency-Key": {"description": "for 24 hours the same key gets the first answer again"},
}
NOT_MODIFIED = "You have this version already."


def install(app: FastAPI) -> None:
    """Once and at the first request for it: nobody waits for the document at the start."""
    plain = app.openapi

    @cache
    def document() -> Json:
        return completed(plain(), app)

    app.openapi = document  # type: ignore[method-assign]


def answer(request: Request) -> JSONResponse:
    """The document at another address.

    A function of this module, not of one application: FastAPI remembers every function that it
    ever looked at, and with it whatever that holds.
    """
    return JSONResponse(request.app.openapi())


def completed(document: Json, app: FastAPI) -> Json:
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    components["headers"] = HEADERS
    components["responses"] = {name: refusal(status) for status, (name, _) in REFUSALS.items()}
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                complete(document["paths"][route.path_format][method.lower()], route, method)
    return document


# What stands behind a door ----------------------------------------------------------------------


@dataclass(frozen=True)
class Behind:
    """What the functions behind a door raise, and which headers they speak of."""

    functions: frozenset[Callable[..., Any]]
    statuses: frozenset[int]
    words: frozenset[str]


def behind(route: RouteContext) -> Behind:
    found: set[Callable[..., Any]] = set()
    waiting: list[Any] = [route.endpoint, *calls(route.dependant)]
    statuses: set[int] = set()
    words: set[str] = set()
    while waiting:
        function = waiting.pop()
        if function in found:
            continue
        found.add(function)
        for value in known_to(function):
            if isinstance(value, FunctionType) and value.__module__.startswith(NEAR):
                waiting.append(unwrap(value))
            elif isinstance(value, type) and issubclass(value, AppError):
                statuses.add(value.status)
            elif isinstance(value, str):
                words.add(value)
    return Behind(frozenset(found), frozenset(statuses), frozenset(words))


def calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for one in dependant.dependencies:
        if isinstance(one.call, FunctionType):
            yield unwrap(one.call)
        yield from calls(one)


@cache
def known_to(function: FunctionType) -> tuple[Any, ...]:
    """The text that a function holds, and the globals that it names, also through a module."""
    names = [name for code in codes(function.__code__) for name in code.co_names]
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    rooms = [v for v in values if isinstance(v, ModuleType) and v.__name__.startswith(NEAR)]
    values += [getattr(room, name) for room in rooms for name in names if hasattr(room, name)]
    texts = [text for code in codes(function.__code__) for text in code.co_consts]
    return (*values, *(text for text in texts if isinstance(text, str)))


def codes(code: CodeType) -> Iterator[CodeType]:
    """A function's own code, and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


# Operations -------------------------------------------------------------------------------------


def complete(operation: Json, route: RouteContext, method: str) -> None:
    known = behind(route)
    scopes = scopes_asked(route.dependant)
    if scopes is not None:
        operation["security"] = [{name: scopes} for name in SCHEMES]
    for name in conditions(operation, known, method):
        parameter = {"name": name, "in": "header", "schema": TEXT, **CONDITIONS[name]}
        operation.setdefault("parameters", []).append(parameter)
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, response in responses.items():
        describe(status, response, known)
    if method == "GET" and "ETag" in known.words:
        responses["304"] = {"description": NOT_MODIFIED, "headers": headers("ETag")}
    for status in sorted(refused(operation, route, known, method)):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{REFUSALS[status][0]}"})


def scopes_asked(dependant: Dependant) -> list[str] | None:
    """What the door asks of its caller; None where anybody may come in."""
    for one in dependant.dependencies:
        if one.call is web.allowed:
            return list(one.own_oauth_scopes or ())
        if (deeper := scopes_asked(one)) is not None:
            return deeper
    return None


def conditions(operation: Json, known: Behind, method: str) -> Iterator[str]:
    if web.refuse_stale in known.functions:
        yield "If-Match"
    if method == "GET" and "ETag" in known.words:
        yield "If-None-Match"
    form = "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    if method == "POST" and web.request_transaction in known.functions and not form:
        yield "Idempotency-Key"


def describe(status: str, response: Json, known: Behind) -> None:
    """The headers of an answer that the route names itself; and its body, if it is a refusal."""
    if int(status) >= 400:
        worded = refusal(int(status))
        response["content"] = response.get("content", {}) | worded["content"]
        response["headers"] = worded["headers"]
        return
    # A list that may also be had as a file has its count and links only as a list.
    always = len(response.get("content", {})) < 2
    given = (name for name in ANSWERED if name in known.words)
    response["headers"] = headers(limited=429 in known.statuses) | {
        name: header(name, required=always) for name in given
    }


def refused(operation: Json, route: RouteContext, known: Behind, method: str) -> set[int]:
    """By its shape, and by what the functions behind it raise."""
    unsafe, body = method not in web.SAFE_METHODS, "requestBody" in operation
    form = "multipart/form-data" in operation.get("requestBody", {}).get("content", {})
    scopes = next(iter(operation["security"][0].values())) if "security" in operation else ()
    parameters = operation.get("parameters", [])
    by_shape = {
        400: form,
        401: "security" in operation,
        403: bool(scopes) or ("security" in operation and unsafe),
        404: any(parameter["in"] == "path" for parameter in parameters),
        409: unsafe,
        412: web.refuse_stale in known.functions,
        413: body,
        415: body,
        422: body or bool(parameters),
        503: bool(route.dependant.dependencies),
        507: unsafe or "202" in operation["responses"],
    }
    return {status for status, can_be in by_shape.items() if can_be} | (
        known.statuses & REFUSALS.keys()
    )


def refusal(status: int) -> Json:
    also = [name] if (name := REFUSAL_HEADERS.get(status)) else []
    return {
        "description": REFUSALS[status][1],
        "headers": headers(*also),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def headers(*also: str, limited: bool = True) -> Json:
    always = {name: header(name) for name in (*ALWAYS, *also)}
    return always | {name: header(name, required=False) for name in LIMITED if limited}


def header(name: str, *, required: bool = True) -> Json:
    """Referred to where it is optional: a reference cannot add that it is always there."""
    if required:
        return {"required": True, **HEADERS[name]}
    return {"$ref": f"#/components/headers/{name}"}
