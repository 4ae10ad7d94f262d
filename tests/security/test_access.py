"""Lines 18 and 19: every door of the OpenAPI document, and who gets through it with what."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from astralytiq.core.resources import Resources
from astralytiq.core.security import ADDED_SCOPES, Role, scopes_of
from tests.conftest import RunJobs, SignIn
from tests.factories import make_client, signed_in
from tests.features.projects.factories import enter

from .factories import KEYS
from .routes import KINDS, OWN, TEAMS, THEIR_OWN, Kind, Operation, operations, things_of

pytestmark = pytest.mark.anyio

# Doors that no program asks for: the document and its pages.
UNDOCUMENTED = {
    "/openapi.json",
    "/api/v1/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/assets",
    "/redoc",
    "/mlflow/{path}",
    # Sockets, which OpenAPI does not know: features/dashboards/test_live.py tries to get in.
    "/ws/dashboard",
    "/api/v1/ws/dashboard",
}
Answers = dict[tuple[str, str], int]


async def answers(
    client: httpx2.AsyncClient, doors: Iterable[Operation], *expected: int
) -> Answers:
    """Of each door that answers anything else than `expected`."""
    found = {door.key: (await door.call(client)).status_code for door in doors}
    return {key: status for key, status in found.items() if status not in expected}


# Nobody -----------------------------------------------------------------------------------------


async def test_18_there_is_no_door_beside_the_document(app: FastAPI) -> None:
    documented = {(door.method.upper(), door.path) for door in operations()}
    hidden = set()
    for route in iter_route_contexts(app.routes):
        known = isinstance(route.original_route, APIRoute) and route.include_in_schema
        methods = (getattr(route, "methods", None) or set()) - {"HEAD"}
        if not known or not {(m, route.path_format) for m in methods} <= documented:
            hidden.add(route.path)
    assert hidden == UNDOCUMENTED
    assert len(documented) > 90


def test_18_a_door_that_is_not_named_as_open_says_what_it_needs() -> None:
    doors = operations()
    assert [d.key for d in doors if d.is_open == d.closed] == []
    # Without a scope it is for whoever is signed in: that is for one's own account alone.
    assert [
        d.key for d in doors if not d.is_open and not d.scopes and not d.path.startswith(OWN)
    ] == []
    every = scopes_of(Role.admin)
    assert [d.key for d in doors if not d.scopes <= every] == []


async def test_18_nobody_is_let_in_anywhere_but_where_all_are(client: httpx2.AsyncClient) -> None:
    closed = [door for door in operations() if not door.is_open]
    assert await answers(client, closed, 401) == {}
    opened = [door for door in operations() if door.is_open and door.is_safe]
    assert await answers(client, opened, 200) == {}


# Without the permission -------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.viewer, Role.analyst, Role.data_scientist])
async def test_18_a_role_is_let_in_where_its_scopes_reach_and_no_further(
    sign_in: SignIn, role: Role
) -> None:
    member = await sign_in(role)
    scoped = [door for door in operations() if door.scopes]
    beyond = [door for door in scoped if not door.scopes <= scopes_of(role)]
    assert await answers(member, beyond, 403) == {}
    gained = [door for door in scoped if door.scopes <= ADDED_SCOPES[role]]
    for door in gained:
        assert (await door.call(member)).status_code not in (401, 403), door.key


async def test_18_a_key_that_lacks_but_the_scope_of_a_door_stays_outside(
    app: FastAPI, sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    every = scopes_of(Role.admin)
    wrong: Answers = {}
    for scope in sorted(every):
        doors = [door for door in operations() if scope in door.scopes]
        if doors:
            body = {"name": f"all but {scope}", "scopes": sorted(every - {scope})}
            made = await admin.post(KEYS, json=body)
            async with make_client(app) as device:
                device.headers["X-API-Key"] = made.json()["key"]
                wrong |= await answers(device, doors, 403)
    assert wrong == {}


# What a key may ask about its owner. Anything else of an account is for people.
KEYS_OWN = {
    *(("get", f"/api/v1/{path}") for path in ("auth/me", "users/me", "users/profile")),
    ("post", "/api/v1/auth/ws-ticket"),
}


async def test_18_a_key_of_one_scope_does_nothing_with_its_owners_account(
    app: FastAPI, sign_in: SignIn
) -> None:
    owner = await sign_in(Role.analyst)
    made = await owner.post(KEYS, json={"name": "device", "scopes": ["data:read"]})
    doors = [d for d in operations() if not d.is_open and not d.scopes]
    assert {door.key for door in doors} >= KEYS_OWN
    async with make_client(app) as device:
        device.headers["X-API-Key"] = made.json()["key"]
        others = (door for door in doors if door.key not in KEYS_OWN)
        assert await answers(device, others, 401, 403) == {}
        for door in doors:
            if door.key in KEYS_OWN:
                assert (await door.call(device)).status_code == 200


# Somebody else's --------------------------------------------------------------------------------


def test_18_every_parameter_of_a_path_says_whose_it_names() -> None:
    named = {name for door in operations() for name, _ in door.parameters}
    assert named == KINDS.keys()
    assert {door.key for door in operations()} >= TEAMS


async def test_18_what_is_somebody_elses_is_not_there_and_what_is_shared_not_changed(
    sign_in: SignIn, resources: Resources, run_jobs: RunJobs
) -> None:
    owner = await enter(sign_in, Role.data_scientist)
    things = await things_of(resources, owner, run_jobs)
    stranger = await sign_in(Role.data_scientist)
    wrong: Answers = {}
    for door in operations():
        if not door.parameters:
            continue
        status = (await door.call(stranger, things)).status_code
        if status not in expected(door):
            wrong[door.key] = status
    assert wrong == {}
    # All of it was there, and still is: its owner and admins find it.
    admin = await sign_in(Role.admin)
    for door in operations():
        if door.parameters and door.is_safe and door.kind is not Kind.admins:
            assert (await door.call(owner.client, things)).is_success, door.key
            assert (await door.call(admin, things)).is_success, door.key


def expected(door: Operation) -> tuple[int, ...]:
    if door.kind is Kind.owned:
        return (404,)
    if door.kind is Kind.admins:
        return (403,)
    if door.key in THEIR_OWN:
        return (422,)
    if door.key in TEAMS:
        return (200, 201, 202, 409)  # 409: promoted to nothing yet, or running already
    return (200,) if door.is_safe else (403,)


# Admins -----------------------------------------------------------------------------------------


async def test_18_an_admin_is_let_in_everywhere(app: FastAPI, sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    refused: Answers = {}
    async with AsyncExitStack() as stack:
        for door in operations():
            client = admin
            if door.path.startswith(OWN) and not door.is_safe:  # It may end the session itself.
                client = await stack.enter_async_context(await signed_in(app, Role.admin))
            status = (await door.call(client)).status_code
            if not door.is_open and status in (401, 403):
                refused[door.key] = status
    assert refused == {}


# Line 19 ----------------------------------------------------------------------------------------

FOREIGN = ("role", "owner_id", "is_active", "is_superuser", "id")
# Who may say it, and where it is meant.
MEANT = {"users:write": {"role", "is_active"}, "projects:write": {"role"}}
SOURCE = {"name": "shop", "kind": "csv", "path": "shop.csv"}
# Their body must say what kind of thing it is before anything else in it is looked at.
OF_A_KIND: dict[str, dict[str, Any]] = {
    "/api/v1/sources": SOURCE,
    "/api/v1/sources/preview": SOURCE,
    "/api/v1/alerts/channels": {"name": "pager", "kind": "email", "to": ["a@example.com"]},
}


async def test_19_no_body_sets_a_field_that_it_does_not_name(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    assert (await admin.post("/api/v1/sources", json=SOURCE)).status_code == 201
    wrong = []
    for door in operations():
        if door.body is None:
            continue
        named = set(door.body.get("properties", ()))
        allowed = {field for scope in door.scopes for field in MEANT.get(scope, ())}
        assert named & set(FOREIGN) <= allowed, door.key
        for field in set(FOREIGN) - named:
            body = {**OF_A_KIND.get(door.path, {}), field: 1}
            answer = await door.call(admin, {"sources/{name}": "shop"} if on_source(door) else None,
                                     body)  # fmt: skip
            faults = answer.json().get("errors", []) if answer.status_code == 422 else []
            if not any(fault["loc"][-1] == field for fault in faults):
                wrong.append((door.key, field, answer.status_code, faults))
    assert wrong == []


def on_source(door: Operation) -> bool:
    return door.path.startswith("/api/v1/sources/{name}")


async def test_19_nobody_raises_themselves(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    before = (await analyst.get("/api/v1/auth/me")).json()
    for body in ({"role": "admin"}, {"is_superuser": True}, {"is_active": False}):
        for method in ("PUT", "PATCH"):
            refused = await analyst.request(method, "/api/v1/users/me", json=body)
            assert refused.status_code == 422
    assert (await analyst.get("/api/v1/auth/me")).json() == before
