"""Pure ASGI middleware: one BaseHTTPMiddleware alone would leave 0.3 of the throughput."""

import logging
import re
import time
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astralytiq.core.db import new_id, unbroken
from astralytiq.core.logging import client_address, request_id
from astralytiq.core.problems import last_resort, problem

log = logging.getLogger("astralytiq.access")

SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MEGABYTE = 1 << 20

STRICT_CSP = "default-src 'none'; frame-ancestors 'none'"
# The interactive documentation is a page with scripts and styles of its publisher's.
DOCS_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    "font-src https://fonts.gstatic.com; img-src 'self' data: https:; worker-src blob:; "
    "frame-ancestors 'none'"
)
FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
DOCS_PATHS = frozenset({"/docs", "/redoc"})


class RequestContext:
    """Request id, timing, security headers, one access log line, and the answer of last resort."""

    def __init__(self, app: ASGIApp, *, slow_seconds: float) -> None:
        self.app = app
        self.slow_seconds = slow_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, seen = time.perf_counter(), Seen()
        given = Headers(scope=scope).get("x-request-id", "")
        identifier = given if SANE_ID.fullmatch(given) else new_id()
        state = scope.setdefault("state", {})
        tokens = (request_id.set(identifier), client_address.set(address_of(scope)))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                headers = MutableHeaders(scope=message)
                decorate(headers, scope, identifier, began)
                if standing := state.get("standing"):
                    headers.update(standing.headers)
            await send(message)

        try:
            await (refuse_nul if has_nul(scope) else self.app)(scope, receive, answer)
        except Exception:
            log.exception("unhandled error")
            if seen.status:
                raise
            await last_resort()(scope, receive, answer)
        finally:
            self.write_line(scope, seen.status or 499, time.perf_counter() - began)
            request_id.reset(tokens[0])
            client_address.reset(tokens[1])

    def write_line(self, scope: Scope, status: int, seconds: float) -> None:
        slow = seconds > self.slow_seconds
        fields = {
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": address_of(scope),
        }
        log.log(
            logging.WARNING if slow else logging.INFO,
            "slow request" if slow else "request",
            extra=fields,
        )


def address_of(scope: Scope) -> str | None:
    client = scope.get("client")
    return str(client[0]) if client else None


def has_nul(scope: Scope) -> bool:
    """SQLite would look for a name with a NUL, PostgreSQL refuses to."""
    return "\x00" in scope["path"] or b"%00" in scope["query_string"]


async def refuse_nul(scope: Scope, receive: Receive, send: Send) -> None:
    if "\x00" in scope["path"]:
        refusal = problem(404, "Not Found", "There is nothing at this path: no name holds a NUL.")
    else:
        words = "The query holds a NUL (%00), which no value here may: leave it out."
        refusal = problem(422, "Invalid input", words)
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
        await problem(400, "Unknown host", words)(scope, receive, send)

    def knows(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        above = name.partition(".")[2]
        return bool({"*", name, f"*.{above}"} & self.names)


class Seen:
    status: int = 0


def decorate(headers: MutableHeaders, scope: Scope, identifier: str, began: float) -> None:
    milliseconds = f"{(time.perf_counter() - began) * 1000:.2f}"
    # Appended as they are: no door sets these, and each lookup would search all of the others.
    headers.raw.extend(
        [
            (b"x-request-id", identifier.encode()),
            (b"x-process-time", milliseconds.encode()),
            *FIXED_HEADERS,
        ]
    )
    csp = DOCS_CSP if scope["path"] in DOCS_PATHS else STRICT_CSP
    headers.setdefault("Content-Security-Policy", csp)
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


class BodyLimit:
    """Refuses bodies over the limit, by their declared length and while they stream in."""

    def __init__(self, app: ASGIApp, *, megabytes: int, upload_megabytes: int) -> None:
        self.app = app
        self.megabytes = megabytes
        self.upload_megabytes = upload_megabytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        upload = headers.get("content-type", "").startswith("multipart/form-data")
        megabytes = self.upload_megabytes if upload else self.megabytes
        words = f"The body may have {megabytes} MB at most: send less, or in parts."
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > megabytes * MEGABYTE:
            await problem(413, "Too large", words)(scope, receive, send)
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
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
        else:
            await unbroken(run(self.app, scope, receive, send))


async def run(app: ASGIApp, *arguments: Any) -> None:
    await app(*arguments)
