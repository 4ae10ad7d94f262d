"""The application behind a real port: WebSockets need one."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession
from websockets.asyncio.client import ClientConnection, connect

from astralytiq.core.broadcast import publish
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts import sessions
from astralytiq.features.accounts.models import User
from tests.factories import make_user
from tests.patience import PATIENCE

Json = dict[str, Any]
Opened = AbstractAsyncContextManager[ClientConnection]


class Live:
    """What a test opens sockets with."""

    def __init__(self, resources: Resources, port: int, server: uvicorn.Server) -> None:
        self.resources = resources
        self.port = port
        self.server = server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def open(self, query: str = "", headers: dict[str, str] | None = None) -> Opened:
        url = f"ws://{self.address}/ws/dashboard{query}"
        return connect(url, additional_headers=headers, open_timeout=PATIENCE, proxy=None)

    async def person(self, role: Role = Role.viewer) -> tuple[User, str]:
        """A new account, and an access token of it."""
        user = await make_user(self.resources, role)
        access = await self.resources.database.write(
            lambda session: sessions.begin(
                session, self.resources.settings, user, sessions.Origin("tests")
            )
        )
        return user, access.access_token

    async def say(self, topic: str, payload: Json) -> None:
        async def write(session: AsyncSession) -> None:
            publish(session, topic, payload)

        await self.resources.database.write(write)


async def heard(watcher: ClientConnection, *types: str) -> Json:
    """The next message of one of these types; any but metrics if none is named."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message: Json = json.loads(await watcher.recv())
            if message["type"] in types if types else message["type"] != "metrics":
                return message


@pytest.fixture
async def live(app: FastAPI, resources: Resources) -> AsyncIterator[Live]:
    """Its lifespan is that of `app`: the server only carries requests."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws_max_size=1 << 16)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - it tells by this attribute alone
            await asyncio.sleep(0.01)
        yield Live(resources, listener.getsockname()[1], server)
        server.should_exit = True
        await serving


Bearer = Callable[[str], dict[str, str]]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
