"""Answers that hold something open while they are sent."""

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from astralytiq.core import sse
from astralytiq.core.web import app_resources

EVENTS = "text/event-stream"
UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
TEXT = {"type": "string"}
# What the OpenAPI document says of doors that answer with `told_events`.
TOLD_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            EVENTS: {
                "schema": {  # of each event
                    "type": "object",
                    "properties": {"id": TEXT, "event": TEXT, "data": TEXT},
                    "required": ["event", "data"],
                }
            }
        }
    }
}


def wants_list(request: Request) -> bool:
    """A list of what happened so far, not a stream of what happens."""
    accept = request.headers.get("accept", EVENTS)
    return "application/json" in accept and EVENTS not in accept


def told_events(request: Request, reader: str, told: AsyncIterator[bytes]) -> StreamingResponse:
    sse.refuse_more(app_resources(request).settings, reader)
    told = sse.counted(reader, told)
    return StreamingResponse(told, media_type=EVENTS, headers=UNBUFFERED)


class Closable(Protocol):
    def close(self) -> None: ...


class HeldStream(StreamingResponse):
    """Lets go of `held` when it ends, also where its reader hung up before its first piece."""

    # FastAPI reads the status of the OpenAPI document off here.
    def __init__(
        self, held: Closable, content: Generator[bytes], status_code: int = 200, **options: Any
    ) -> None:
        super().__init__(content, status_code, **options)
        self.held = held
        self.content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.to_thread(self.let_go)

    def let_go(self) -> None:
        self.content.close()
        self.held.close()
