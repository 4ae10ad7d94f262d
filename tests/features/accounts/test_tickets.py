"""Tickets for WebSockets: whom they let in, once, and what ends them early."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from astralytiq.core.db import utc_now
from astralytiq.core.errors import Unauthenticated
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts import tickets
from astralytiq.features.accounts.models import OneTimeToken
from tests.conftest import SignIn
from tests.factories import make_client

pytestmark = pytest.mark.anyio

ME = "/api/v1/auth/me"
TICKET = "/api/v1/auth/ws-ticket"
Act = Callable[[httpx2.AsyncClient, httpx2.AsyncClient, int], Awaitable[httpx2.Response]]


async def ticket_of(client: httpx2.AsyncClient, **headers: str) -> str:
    answer = await client.post(TICKET, headers=headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])


async def is_refused(resources: Resources, ticket: str) -> bool:
    try:
        await tickets.redeem(resources, ticket)
    except Unauthenticated:
        return True
    return False


async def test_16_a_ticket_lets_its_owner_in_once(sign_in: SignIn, resources: Resources) -> None:
    analyst = await sign_in(Role.analyst)
    me = (await analyst.get(ME)).json()
    ticket = await ticket_of(analyst)
    admitted = await tickets.redeem(resources, ticket)
    assert (admitted.actor.id, admitted.actor.role) == (me["id"], Role.analyst)
    assert "datasets:write" in admitted.actor.scopes
    assert admitted.session_id is not None
    assert utc_now().timestamp() < admitted.expires < math.inf
    assert await is_refused(resources, ticket)


async def test_16_of_many_at_once_one_gets_in_and_another_tab_has_its_own(
    sign_in: SignIn, resources: Resources
) -> None:
    viewer = await sign_in(Role.viewer)
    ticket, other = await ticket_of(viewer), await ticket_of(viewer)
    tries = await asyncio.gather(*(is_refused(resources, ticket) for _ in range(4)))
    assert sorted(tries) == [False, True, True, True]
    assert not await is_refused(resources, other)


async def test_16_an_expired_or_foreign_secret_is_no_ticket(
    sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    me = (await admin.get(ME)).json()
    ticket = await ticket_of(admin)
    async with resources.database.transaction() as session:
        past = utc_now() - timedelta(seconds=1)
        await session.execute(update(OneTimeToken).values(expires_at=past))
    link = (await admin.post(f"/api/v1/users/{me['id']}/link")).json()["link"]
    access = admin.headers["Authorization"].removeprefix("Bearer ")
    for wrong in (ticket, link.partition("token=")[2], access, ""):
        assert await is_refused(resources, wrong)


async def test_16_a_ticket_opens_no_other_door(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    ticket = await ticket_of(await sign_in(Role.admin))
    for headers in ({"Authorization": f"Bearer {ticket}"}, {"X-API-Key": ticket}):
        assert (await client.get(ME, headers=headers)).status_code == 401
    assert (await client.get(ME, params={"ticket": ticket})).status_code == 401


async def test_nobody_gets_no_ticket(client: httpx2.AsyncClient) -> None:
    assert (await client.post(TICKET)).status_code == 401


ENDINGS: dict[str, Act] = {
    "logout": lambda own, _, __: own.post("/api/v1/auth/logout"),
    "signed out": lambda _, admin, who: admin.delete(f"/api/v1/users/{who}/sessions"),
    "closed": lambda _, admin, who: admin.patch(f"/api/v1/users/{who}", json={"is_active": False}),
    "lowered": lambda _, admin, who: admin.patch(f"/api/v1/users/{who}", json={"role": "viewer"}),
    "erased": lambda _, admin, who: admin.delete(f"/api/v1/users/{who}"),
}


async def test_16_what_ends_the_session_ends_its_tickets(
    sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    for how, act in ENDINGS.items():
        analyst = await sign_in(Role.analyst)
        who = (await analyst.get(ME)).json()["id"]
        ticket = await ticket_of(analyst)
        assert (await act(analyst, admin, who)).is_success, how
        assert await is_refused(resources, ticket), how


async def test_a_key_gets_tickets_for_its_own_scopes_while_it_lasts(
    app: FastAPI, sign_in: SignIn, resources: Resources
) -> None:
    admin, analyst = await sign_in(Role.admin), await sign_in(Role.analyst)
    who = (await analyst.get(ME)).json()["id"]
    made = await analyst.post("/api/v1/api-keys", json={"name": "k", "scopes": ["tasks:write"]})
    with_key = {"X-API-Key": made.json()["key"]}
    async with make_client(app) as device:
        first, second, third = [await ticket_of(device, **with_key) for _ in range(3)]
        admitted = await tickets.redeem(resources, first)
        assert admitted.actor.scopes == {"tasks:write"}
        assert (admitted.actor.role, admitted.session_id) == (None, None)
        await admin.patch(f"/api/v1/users/{who}", json={"role": "viewer"})
        assert await is_refused(resources, second)  # The scope was lost meanwhile.
        await admin.patch(f"/api/v1/users/{who}", json={"role": "analyst"})
        assert (await admin.delete(f"/api/v1/api-keys/{made.json()['id']}")).status_code == 204
        assert await is_refused(resources, third)
