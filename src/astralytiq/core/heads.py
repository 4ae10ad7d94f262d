"""HEAD: what GET would answer, up to its body (RFC 9110, section 9.3.2)."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Lets the GET of every door answer HEAD. It is the outermost: refusals have no body either.

    A stream ends after its first piece, which nobody gets: it is told that its reader hung up.
    Not earlier, for what was never begun would not let go of what it holds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        head = Head(scope, send)
        scope["method"] = "GET"
        try:
            await self.app(scope, head.receive, head.send)
        finally:
            scope["method"] = "HEAD"


class Head:
    """One such request. Its own body is not read: it means nothing."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._asked = False
        self._answered = asyncio.Event()

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            self._answered.set()
            return
        # Servers and our log look here: no body follows, whatever the Content-Length says.
        self._scope["method"] = "HEAD"
        await self._send(message)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
