"""The house tries its own doors: it finds what is broken, and leaves no trace."""

from functools import cache
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from astralytiq.app import create_app
from astralytiq.core.audit import AuditEntry
from astralytiq.core.errors import Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor, Role
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import credentials, keys
from astralytiq.features.accounts.models import User, UserSession
from astralytiq.features.accounts.schemas import UserRead
from astralytiq.features.jobs import service as jobs_service
from tests.conftest import SignIn
from tests.factories import make_client, signed_in

pytestmark = pytest.mark.anyio

ENDPOINTS = "/api/v1/monitoring/validate/endpoints"
AUTHENTICATION = "/api/v1/monitoring/validate/authentication"


@cache
def document() -> dict[str, Any]:
    """Made once: it takes a second, and is the same for all applications."""
    return create_app(Settings(_env_file=None)).openapi()


@pytest.fixture(autouse=True)
def known_document(app: FastAPI) -> None:
    app.openapi = document  # type: ignore[method-assign]


def failed(body: dict[str, Any]) -> list[dict[str, Any]]:
    assert body["total"] == len(body["results"]) == body["passed"] + body["failed"]
    found = [one for one in body["results"] if not one["passed"]]
    assert body["status"] == ("failed" if found else "passed")
    return found


async def test_every_door_that_only_reads_is_tried(app: FastAPI, sign_in: SignIn) -> None:
    body = (await (await sign_in(Role.admin)).get(ENDPOINTS)).json()
    assert failed(body) == []
    tried = {one["name"] for one in body["results"]}
    skipped = {one.partition(":")[0] for one in body["skipped"]}
    known = {f"GET {path}" for path, found in app.openapi()["paths"].items() if "get" in found}
    assert tried | skipped == known
    assert len(tried) > 60
    assert len(skipped) < 15


async def test_a_door_that_is_broken_is_found(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(jobs_service, "list_visible", broken)
    body = (await (await sign_in(Role.admin)).get(ENDPOINTS)).json()
    (found,) = failed(body)
    assert (found["name"], found["status_code"]) == ("GET /api/v1/jobs", 500)
    assert "request" in found["detail"]
    assert "a fault of ours" not in str(body)


async def test_a_way_in_that_should_be_closed_is_found(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await sign_in(Role.admin)
    verify = keys.verify

    async def lenient(resources: Resources, presented: str) -> credentials.Verified:
        try:
            return await verify(resources, presented)
        except Unauthenticated:
            actor = Actor(1, "thief@example.com", frozenset(), None, "key:1")
            async with resources.database.reading() as session:
                user = (await session.scalars(select(User))).first()
            assert user
            shown = UserRead.model_validate(user)
            return credentials.Verified(actor, None, 0.0, shown, user.version)

    monkeypatch.setattr(keys, "verify", lenient)
    found = failed((await admin.get(AUTHENTICATION)).json())
    assert {one["name"] for one in found} == {
        "an API key that is gone is refused as a bearer",
        "an API key that is gone is refused as X-API-Key",
    }


async def test_self_tests_leave_no_trace_and_throttle_nobody(
    app: FastAPI, sign_in: SignIn, resources: Resources
) -> None:
    async def kept() -> list[int | None]:
        async with resources.database.reading() as session:
            return [
                await session.scalar(select(func.count()).select_from(table))
                for table in (AuditEntry, User, UserSession)
            ]

    admin = await sign_in(Role.admin)
    before = await kept()
    for path in (ENDPOINTS, AUTHENTICATION):
        body = (await admin.get(path)).json()
        assert failed(body) == []
    tests = " ".join(one["name"] for one in body["results"])
    for tried in ("expired", "another key", "API key", "wrong password", "no credential", "jobs"):
        assert tried in tests
    assert await kept() == before
    counted = app.state.performance.snapshot().total.tallies
    assert {path for _, path in counted} == {ENDPOINTS, AUTHENTICATION}
    assert not hasattr(app.state, "throttle")


async def test_small_budgets_and_known_hosts_do_not_fail_the_self_tests(
    settings: Settings,
) -> None:
    tight = {"rate_limit": "5/minute", "allowed_hosts": ("astralytiq.test",)}
    app = create_app(settings.model_copy(update=tight))
    app.openapi = document  # type: ignore[method-assign]
    async with app.router.lifespan_context(app), await signed_in(app, Role.admin) as admin:
        for path in (ENDPOINTS, AUTHENTICATION):
            assert (await admin.get(path)).json()["status"] == "passed"
        assert (await admin.get("/api/v1/jobs")).status_code == 200


async def test_self_tests_are_for_admins_and_for_keys_of_theirs(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    assert (await client.get(ENDPOINTS)).status_code == 401
    assert (await (await sign_in(Role.data_scientist)).get(AUTHENTICATION)).status_code == 403
    admin = await sign_in(Role.admin)
    made = await admin.post("/api/v1/api-keys", json={"name": "watch", "scopes": ["system:read"]})
    async with make_client(app, made.json()["key"]) as watch:
        assert failed((await watch.get(ENDPOINTS)).json()) == []
