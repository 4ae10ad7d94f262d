"""Pure ASGI middleware: one BaseHTTPMiddleware alone would leave 0.3 of the throughput."""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astralytiq.core.db import unbroken
from astralytiq.core.logging import client_address, request_id, write_line
from astralytiq.core.metrics import Door, Performance
from astralytiq.core.problems import last_resort, problem
from astralytiq.core.tracing import note_request
from astralytiq.core.web import API

log = logging.getLogger("astralytiq.access")

SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MEGABYTE = 1 << 20

CSP = b"content-security-policy"
STRICT_CSP = (CSP, b"default-src 'none'; frame-ancestors 'none'")
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "(none)"
GONE = 499  # The caller hung up before there was an answer: nginx's name for it.
SELF_TEST = "self_test"  # In the state of requests that we send to ourselves.


class RequestContext:
    """Request id, timing, security headers, one access log line, and the answer of last resort."""

    def __init__(self, app: ASGIApp, *, slow_seconds: float, performance: Performance) -> None:
        self.app = app
        self.slow_seconds = slow_seconds
        self.performance = performance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = Seen(scope)
        tokens = (request_id.set(seen.identifier), client_address.set(seen.client))
        note_request(seen.identifier)
        self.performance.in_progress += 1

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.begin(message, scope)
            await send(message)

        try:
            await (refuse_nul if has_nul(scope) else self.app)(scope, receive, answer)
        except Exception:
            log.exception("unhandled error")
            if seen.status:
                raise
            await last_resort(scope["path"])(scope, receive, answer)
        finally:
            self.performance.in_progress -= 1
            self.take_down(scope, seen)
            request_id.reset(tokens[0])
            client_address.reset(tokens[1])

    def take_down(self, scope: Scope, seen: "Seen") -> None:
        """Count the request, and write its line."""
        status, seconds = seen.status or GONE, seen.seconds()
        if SELF_TEST in scope["state"]:  # Nobody asked for anything.
            return
        self.performance.record(door_of(scope), seconds, status)
        slow = seconds > self.slow_seconds
        level, words = (logging.WARNING, "slow request") if slow else (logging.INFO, "request")
        if not log.isEnabledFor(level):
            return
        fields = {
            "method": scope["method"],
            "path": seen.path,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": seen.client,
        }
        if slow and (path := door_of(scope)[1]) != seen.path:
            fields["route"] = path
        write_line(log, level, words, fields)


class Seen:
    """What is known of a request beside its scope: its id, its path as it came, how it is going."""

    __slots__ = ("began", "client", "first_byte", "identifier", "path", "status")

    def __init__(self, scope: Scope) -> None:
        self.began = time.perf_counter()
        self.status = 0
        self.first_byte = 0.0  # of a stream that stays open: when it ends says nothing
        self.path: str = scope["path"]
        self.client = address_of(scope)
        self.identifier = sane_id(scope["headers"]) or token_hex(16)
        scope.setdefault("state", {})

    def seconds(self) -> float:
        return (self.first_byte or time.perf_counter()) - self.began

    def begin(self, message: Message, scope: Scope) -> None:
        """Add what every answer says of itself."""
        self.status = message["status"]
        now = time.perf_counter()
        given, named = message.get("headers", ()), False
        if self.status == 204:
            given = without_media_type(given)
        for name, value in given:
            if name == CSP:
                named = True
            elif name == b"content-type" and value.startswith(b"text/event-stream"):
                self.first_byte = now
        # Appended as they are: no door sets these, and each look-up would search all of the others.
        headers = [
            *given,
            (b"x-request-id", self.identifier.encode()),
            (b"x-process-time", b"%.2f" % ((now - self.began) * 1000)),
            *FIXED_HEADERS,
        ]
        if not named:
            headers.append(STRICT_CSP)
        if scope["scheme"] == "https":
            headers.append(HSTS)
        if standing := scope["state"].get("standing"):
            headers += [(k.lower().encode(), v.encode()) for k, v in standing.headers.items()]
        message["headers"] = headers


def without_media_type(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """FastAPI calls the nothing of a 204 JSON, which clients would then try to parse."""
    return [(name, value) for name, value in headers if name != b"content-type"]


def sane_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            return given if SANE_ID.fullmatch(given) else None
    return None


def door_of(scope: Scope) -> Door:
    """Method and path template: whatever is asked for, there are only so many of them."""
    method = scope["method"] if scope["method"] in METHODS else "OTHER"
    if "app_root_path" in scope:  # of an application that is mounted here: its paths are its own
        return method, f"{scope['root_path']}/{{path}}"
    within: str | None = getattr(scope.get("route"), "path", None)
    if within is None:  # Of our doors only those without parameters, as /docs, leave no route.
        known = "endpoint" in scope and not scope.get("path_params")
        return method, scope["path"] if known else NO_ROUTE
    # A route does not know what its router was included under.
    outside = scope["path"].startswith(f"{API}/") and not within.startswith(API)
    return method, f"{API}{within}" if outside else within


def address_of(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None


def has_nul(scope: Scope) -> bool:
    """SQLite would look for a name with a NUL, PostgreSQL refuses to."""
    return "\x00" in scope["path"] or b"%00" in scope["query_string"]


async def refuse_nul(scope: Scope, receive: Receive, send: Send) -> None:
    if "\x00" in scope["path"]:
        words = "There is nothing at this path: no name holds a NUL."
        refusal = problem(404, "Not Found", words, instance=quote(scope["path"]))
    else:
        words = "The query holds a NUL (%00), which no value here may: leave it out."
        refusal = problem(422, "Invalid input", words, instance=scope["path"])
    await refusal(scope, receive, send)


class KnownHost:
    """Answers only to the names it is known by (`*.example.org` stands for all below it)."""

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self.app = app
        self.names = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self.knows(scope):
            await self.app(scope, receive, send)
            return
        words = "This server does not go by that name: ALLOWED_HOSTS lists those it goes by."
        refusal = problem(400, "Unknown host", words, instance=scope["path"])
        await refusal(scope, receive, send)

    def knows(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        above = name.partition(".")[2]
        return bool({"*", name, f"*.{above}"} & self.names)


class BodyLimit:
    """Refuses bodies over the limit, by their declared length and while they stream in."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        megabytes: int,
        upload_megabytes: int,
        upload_paths: Sequence[str] = (),
    ) -> None:
        self.app = app
        self.megabytes = megabytes
        self.upload_megabytes = upload_megabytes
        self.upload_paths = tuple(upload_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        form = headers.get("content-type", "").startswith("multipart/form-data")
        upload = form or scope["path"].startswith(self.upload_paths)
        megabytes = self.upload_megabytes if upload else self.megabytes
        words = f"The body may have {megabytes} MB at most: send less, or in parts."
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > megabytes * MEGABYTE:
            refusal = problem(413, "Too large", words, instance=scope["path"])
            await refusal(scope, receive, send)
            return
        await self.app(scope, counted(receive, megabytes * MEGABYTE, words), send)


def counted(receive: Receive, most: int, words: str) -> Receive:
    total = 0

    async def count() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise HTTPException(413, words)  # FastAPI turns any other error here into a 400.
        return message

    return count


class Unbroken:
    """Lets a write end once begun, also when its client has gone or the server is stopping.

    It stands closest to the routes. Trailing slashes are dropped here, so that a collection
    answers with and without one, and no redirect loses a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope.get("path", "")) > 1 and scope["path"].endswith("/"):
            scope["path"] = scope["path"].rstrip("/") or "/"
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
        else:
            await unbroken(run(self.app, scope, receive, send))


async def run(app: ASGIApp, *arguments: Any) -> None:
    await app(*arguments)
