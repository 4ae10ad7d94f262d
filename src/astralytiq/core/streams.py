"""Answers that hold something open while they are sent."""

import asyncio
from collections.abc import Generator
from typing import Any, Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


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
