"""One request that goes through to MLflow, and what becomes of its answer."""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astralytiq.core import audit
from astralytiq.core.problems import last_resort
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.web import app_resources
from astralytiq.features.registry import service as registry

from . import browsing, checking, mirroring
from .surface import Check, Need, Rule

log = logging.getLogger(__name__)

KEPT_KEYS = ("type", "asgi", "http_version", "method", "scheme", "query_string", "client", "server")
# Credentials end here, and so does what MLflow would take for a tenant.
PRIVATE = frozenset(
    {b"authorization", b"x-api-key", b"cookie", b"x-csrf-token", b"x-mlflow-workspace"}
)
# The platform sets these on every answer itself.
SET_BY_US = frozenset({b"x-content-type-options", b"x-frame-options", b"set-cookie", b"server"})
OF_THE_PAGE = "/static-files/"
FILES = "/mlflow-artifacts/"
LARGE = 1 << 16  # bytes of JSON that take longer than the loop should wait
IDS = ("run_id", "experiment_id", "model_id")


class Visit:
    def __init__(self, request: Request, actor: Actor, rule: Rule, path: str) -> None:
        self.request = request
        self.actor = actor
        self.rule = rule
        self.path = path
        self.resources: Resources = app_resources(request)
        self.body: dict[str, Any] = {}
        self._refused = False
        self._held: list[Message] = []

    async def go(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        headers = [(k, v) for k, v in self.request.headers.raw if k.lower() not in PRIVATE]
        if self.rule.need is not Need.read and FILES not in self.path:
            content = await self.checked_body()
            receive = once(content)
            headers = [
                (k, v) for k, v in headers if k not in (b"content-length", b"transfer-encoding")
            ]
            headers.append((b"content-length", str(len(content)).encode()))  # fmt: skip
        self.send = send
        await app(self.scope(headers), receive, self.answer)
        await self.after()

    def scope(self, headers: list[tuple[bytes, bytes]]) -> Scope:
        """As if MLflow stood at the root: its own paths are all relative."""
        kept: MutableMapping[str, Any] = {
            key: self.request.scope[key] for key in KEPT_KEYS if key in self.request.scope
        }
        raw = quote(self.path, safe="/:@!$&'()*+,;=~-._").encode()
        return {**kept, "path": self.path, "raw_path": raw, "root_path": "", "headers": headers,
                "state": {}}  # fmt: skip

    async def checked_body(self) -> bytes:
        content = await self.request.body()
        if len(content) > LARGE:
            self.body, content = await asyncio.to_thread(self.read, content)
        else:
            self.body, content = self.read(content)
        if self.rule.check is not Check.nothing:
            async with self.resources.database.reading() as session:
                name = str(checking.given(self.body, "name") or "")
                await registry.refuse_foreign(session, self.actor, name)
        return content

    def read(self, content: bytes) -> tuple[dict[str, Any], bytes]:
        body = checking.body_of(content)
        checking.refuse_body(self.path, body)
        return body, msgspec.json.encode(body) if content else b""

    async def answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._refused = message["status"] >= 500
            headers = [(k, v) for k, v in message["headers"] if k.lower() not in SET_BY_US]
            csp = browsing.CSP if self.path.startswith(OF_THE_PAGE) else browsing.FILES_CSP
            headers.append((b"content-security-policy", csp.encode()))
            message = {**message, "headers": headers}
        if self._refused or self.has_a_sequel():
            self._held.append(message)
        else:
            await self.send(message)

    def has_a_sequel(self) -> bool:
        return self.rule.need is Need.delete or self.path.endswith("/model-versions/create")

    async def after(self) -> None:
        """What must be on record before the client hears that it was done."""
        if self._refused:
            words = b"".join(one.get("body", b"") for one in self._held)[:2000]
            log.error("MLflow failed", extra={"path": self.path, "answer": words.decode("latin-1")})
            refusal = last_resort(self.request.url.path)
            await refusal(self.request.scope, self.request.receive, self.send)
            return
        if self._held and self._held[0]["status"] < 300:
            await self.keep_record()
        for message in self._held:
            await self.send(message)

    async def keep_record(self) -> None:
        if self.rule.need is Need.delete:
            await self.resources.database.write(self.note_deletion)
        else:
            await mirroring.ask(self.resources, self.actor, checking.given(self.body, "name"))

    async def note_deletion(self, session: AsyncSession) -> None:
        ids = {name: found for name in IDS if (found := checking.given(self.body, name))}
        audit.record(session, self.actor, "mlflow.deleted", f"mlflow{self.rule.path}", **ids)


def once(content: bytes) -> Receive:
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
