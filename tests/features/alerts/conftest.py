"""A receiver of webhooks, and a figure that tests turn up and down."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import offers
from astralytiq.core.offers import FIGURES

Json = dict[str, Any]


@dataclass
class Dial:
    """What the figure `pressure` is."""

    value: float | None = 0.0


@pytest.fixture
def dial() -> Iterator[Dial]:
    found = Dial()

    async def measure(session: AsyncSession) -> float | None:
        return found.value

    offers.figure("pressure", "turned by tests", "bar")(measure)
    yield found
    del FIGURES["pressure"]


@dataclass
class Delivery:
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Json:
        found: Json = json.loads(self.content)
        return found


@dataclass
class Receiver:
    """Answers with `statuses` first, then with 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[Delivery] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.got.append(Delivery(headers, content))
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield found
