"""A house that can send mail, and what people do with the links in it."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from astralytiq.app import create_app
from astralytiq.core.settings import Settings
from tests.core.smtp import Mailbox, receiving

RESET = "/api/v1/auth/password/reset"
NEW = "a better battery"


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    async with receiving() as box:
        yield box


@pytest.fixture
async def post(settings: Settings, box: Mailbox) -> AsyncIterator[FastAPI]:
    values = {
        "smtp_url": SecretStr(box.url),
        "mail_from": "no-reply@example.org",
        "public_url": "https://data.example.org",
    }
    app = create_app(settings.model_copy(update=values))
    async with app.router.lifespan_context(app):
        yield app


async def link_for(admin: httpx2.AsyncClient, user_id: int) -> str:
    made = await admin.post(f"/api/v1/users/{user_id}/link")
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    return token_in(made.json()["link"])


def token_in(text: str) -> str:
    found = re.search(r"token=([\w-]{43,})", text)
    assert found
    return found[1]


async def reset(client: httpx2.AsyncClient, token: str, password: str = NEW) -> httpx2.Response:
    return await client.post(RESET, json={"token": token, "new_password": password})


async def login(client: httpx2.AsyncClient, email: str, password: str = NEW) -> int:
    body = {"email": email, "password": password}
    return (await client.post("/api/v1/auth/login", json=body)).status_code
