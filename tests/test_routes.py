"""Default deny: every operation of the OpenAPI document refuses somebody who is not signed in."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

# SPEC §2: what is open to all.
OPEN = {
    "/",
    "/health",
    "/api/v1/health",
    "/api/v1/health/live",
    "/api/v1/health/ready",
    "/health/live",
    "/health/ready",
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/status",
    "/api/v1/auth/csrf-token",
    "/api/v1/ml",
}
# What every account does for itself, whatever its role.
OWN = ("/api/v1/auth/", "/api/v1/api-keys", "/api/v1/users/me")
METHODS = {"get", "post", "put", "patch", "delete"}
FILLED = {"source": "x", "name": "x", "run_id": "x", "job_id": "x", "prediction_id": "x"}


def operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    paths = app.openapi()["paths"]
    return [
        (method, path, operation)
        for path, found in paths.items()
        for method, operation in found.items()
        if method in METHODS
    ]


def address(path: str) -> str:
    parts = [FILLED.get(p.strip("{}"), "1") if p.startswith("{") else p for p in path.split("/")]
    return "/".join(parts)


async def call(client: httpx2.AsyncClient, method: str, path: str) -> int:
    body: dict[str, str] | None = {} if method in ("post", "put", "patch") else None
    return (await client.request(method.upper(), address(path), json=body)).status_code


async def test_nobody_is_let_in_anywhere_but_where_all_are(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    closed = [(m, p) for m, p, _ in operations(app) if p.rstrip("/") not in OPEN and p != "/"]
    assert len(closed) > 40
    answers = {(method, path): await call(client, method, path) for method, path in closed}
    assert {key: status for key, status in answers.items() if status != 401} == {}


async def test_every_closed_operation_says_so_in_its_document(app: FastAPI) -> None:
    unsaid = [
        (method, path)
        for method, path, operation in operations(app)
        if path.rstrip("/") not in OPEN and path != "/" and not operation.get("security")
    ]
    assert unsaid == []


async def test_a_viewer_changes_nothing(app: FastAPI, sign_in: SignIn) -> None:
    viewer = await sign_in(Role.viewer)
    unsafe = [
        (m, p)
        for m, p, _ in operations(app)
        if m != "get" and p.rstrip("/") not in OPEN and not p.startswith(OWN)
    ]
    answers = {(method, path): await call(viewer, method, path) for method, path in unsafe}
    assert {key: status for key, status in answers.items() if status != 403} == {}
