"""HEAD: every door that GET opens answers it, with the same headers and nothing after them."""

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, suppress
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Message, Scope

from astralytiq.core import middleware
from astralytiq.core.heads import HeadAsGet
from astralytiq.core.security import Role
from astralytiq.core.streams import HeldStream
from tests.conftest import SignIn
from tests.features.datasets.factories import upload
from tests.patience import soon
from tests.security.routes import operations

pytestmark = pytest.mark.anyio

PASSING = {"x-request-id", "x-process-time", "date", "ratelimit-remaining", "ratelimit-reset"}


def lasting(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in PASSING}


async def head(app: ASGIApp, path: str = "/", method: str = "HEAD") -> list[Message]:
    """All that a server is told to send: clients leave out what follows the headers of a HEAD."""
    sent: list[Message] = []
    scope: Scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"host", b"astralytiq.test")], "scheme": "http",
        "client": ("203.0.113.9", 1), "server": ("astralytiq.test", 80), "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }  # fmt: skip

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody hangs up")

    async def send(message: Message) -> None:
        assert scope["method"] == method  # Servers look there before they write a body.
        sent.append(message)

    await soon(app(scope, receive, send))
    return sent


async def test_every_door_answers_head_as_it_answers_get(client: httpx2.AsyncClient) -> None:
    wrong: list[Any] = []
    for door in operations():
        if door.is_safe:
            asked = await door.call(client)
            told = await client.head(door.address(), headers={"Accept": "application/json"})
            same = asked.status_code == told.status_code
            if not same or lasting(asked).keys() != lasting(told).keys():
                wrong.append((door.path, asked.status_code, told.status_code))
    assert wrong == []


async def test_an_answer_ends_with_its_headers(app: FastAPI) -> None:
    for path, status in (("/health/live", 200), ("/docs", 200), ("/api/v1/tasks", 401)):
        start, end = await head(app, path)
        assert start["status"] == status
        assert int(dict(start["headers"])[b"content-length"]) > 0
        assert (end["body"], end["more_body"]) == (b"", False)


async def test_a_file_says_how_large_it_is(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    path = f"/api/v1/datasets/{(await upload(analyst)).json()['id']}/download"
    for form in ("parquet", "csv"):
        asked = await analyst.get(path, params={"format": form})
        told = await analyst.head(path, params={"format": form})
        assert (told.status_code, lasting(told)) == (200, lasting(asked))
    assert (await analyst.head("/api/v1/users/me/export")).headers["content-length"].isdigit()


async def test_what_is_known_already_is_304_to_head_too(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    made = await analyst.post("/api/v1/tasks", json={"title": "label"})
    path = f"/api/v1/tasks/{made.json()['id']}"
    tag = (await analyst.head(path)).headers["etag"]
    assert (await analyst.head(path, headers={"If-None-Match": tag})).status_code == 304


async def test_where_nothing_can_be_read_head_is_refused(client: httpx2.AsyncClient) -> None:
    refused = await client.head("/api/v1/auth/login")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_stream_ends_with_its_headers_and_lets_go_of_what_it_held() -> None:
    held: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        held.append("begun")
        try:
            while True:
                yield b": still here\n\n"
                await asyncio.Event().wait()
        finally:
            held.append("ended")

    door = StreamingResponse(endless(), media_type="text/event-stream")
    start, end = await head(HeadAsGet(door))
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert (end["body"], end["more_body"]) == (b"", False)
    assert held == ["begun", "ended"]


async def test_the_log_says_what_was_asked(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(middleware, "write_line", lambda *line: lines.append(line[-1]))
    monkeypatch.setattr(middleware.log, "isEnabledFor", lambda level: True)
    await client.head("/health/live")
    assert [line["method"] for line in lines] == ["HEAD"]


@pytest.mark.parametrize("pieces", [0, 1])
async def test_a_held_stream_lets_go_though_its_reader_hangs_up(pieces: int) -> None:
    held, sent = ExitStack(), []

    def content() -> Generator[bytes]:
        while True:
            yield b"x"

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > pieces:
            raise ConnectionResetError

    let_go: list[str] = []
    held.callback(let_go.append, "file")
    with suppress(ConnectionResetError):
        await HeldStream(held, content())({"type": "http"}, receive, send)
    assert let_go == ["file"]
