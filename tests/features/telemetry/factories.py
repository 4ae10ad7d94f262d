"""Makes events, and people who may send or read them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import text

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.factories import make_client, signed_in

API = "/api/v1"


def reading(**values: Any) -> dict[str, Any]:
    return {"ear_value": 0.31, "is_drowsy": False, "duration_ms": 200, **values}


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


async def post(client: httpx2.AsyncClient, **values: Any) -> dict[str, Any]:
    answer = await client.post("/telemetry", json=reading(**values))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post_many(
    client: httpx2.AsyncClient, events: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    answer = await client.post("/telemetry/batch", json={"events": list(events)})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(client: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def key_client(app: FastAPI, *scopes: str, role: Role = Role.admin) -> httpx2.AsyncClient:
    """A device: it comes with an API key of these scopes."""
    owner = await signed_in(app, role)
    made = await owner.post(f"{API}/api-keys", json={"name": "device", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    client = make_client(app)
    client.headers["X-API-Key"] = made.json()["key"]
    return client


async def counted(resources: Resources, sql: str) -> list[tuple[Any, ...]]:
    async with resources.database.reading() as session:
        return [tuple(row) for row in await session.execute(text(sql))]
