"""Links to set a password by: who gets one, how often it works, and what it ends."""

import asyncio
import logging
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update

from astralytiq.core import executor
from astralytiq.core.db import utc_now
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts import links
from astralytiq.features.accounts.models import OneTimeToken, User
from tests.conftest import RunJobs, SignIn
from tests.core.smtp import Mailbox
from tests.factories import make_client, make_user
from tests.features.accounts.conftest import NEW, RESET, link_for, login, reset, token_in

pytestmark = pytest.mark.anyio

FORGOT = "/api/v1/auth/password/forgot"
ME = "/api/v1/auth/me"
ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}
ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


async def ask(app: FastAPI, email: str) -> None:
    """Ask for a link as nobody in particular, and let the worker run."""
    async with make_client(app) as visitor:
        assert (await visitor.post(FORGOT, json={"email": email})).status_code == 202
    await executor.run_until_idle(app.state.resources, "tests")


# Asking -----------------------------------------------------------------------------------------


async def test_known_and_unknown_addresses_are_told_alike_and_make_the_same_work(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    await client.post("/api/v1/auth/register", json=ALICE)
    answers = [
        await client.post(FORGOT, json={"email": email})
        for email in (ALICE["email"], "nobody@example.com")
    ]
    assert [a.status_code for a in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    async with resources.database.reading() as session:
        rows = (await session.execute(select(Job.name, Job.arguments, Job.owner_id))).all()
        assert await session.scalar(select(func.count(OneTimeToken.id))) == 0
    assert {row.name for row in rows} == {"accounts.send_reset_link"}
    assert sorted(str(row.arguments["user_id"]) for row in rows) == ["1", "None"]
    assert [row.owner_id for row in rows] == [None, None]


async def test_asking_again_at_once_sends_no_second_mail_and_a_closed_account_gets_none(
    post: FastAPI, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources: Resources = post.state.resources
    user, closed = [await make_user(resources, Role.analyst) for _ in range(2)]
    monkeypatch.setattr(links, "PAUSE_SECONDS", 1e12)  # No pause ends in between.
    async with resources.database.transaction() as session:
        await session.execute(update(User).where(User.id == closed.id).values(is_active=False))
    for email in (user.email, user.email.upper(), closed.email):
        await ask(post, email)
    assert [mail["to"] for mail in box.mails] == [user.email]


async def test_a_page_elsewhere_asks_for_nobody(client: httpx2.AsyncClient) -> None:
    refused = await client.post(FORGOT, json={"email": "a@b.c"}, headers=ELSEWHERE)
    assert refused.status_code == 403


async def test_the_mail_brings_a_link_to_our_own_address_that_works_and_stands_nowhere_else(
    post: FastAPI, box: Mailbox
) -> None:
    user = await make_user(post.state.resources, Role.analyst)
    async with make_client(post) as visitor:
        forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        await visitor.post(FORGOT, json={"email": user.email}, headers=forged)
        await executor.run_until_idle(post.state.resources, "tests")
        (mail,) = box.mails
        text = mail.get_content()
        assert mail["to"] == user.email
        assert f"https://data.example.org{RESET}?token=" in text
        assert "evil" not in text
        await refuse_stored(post.state.resources, token_in(text))
        assert (await reset(visitor, token_in(text))).status_code == 204
        assert await login(visitor, user.email) == 200


async def refuse_stored(resources: Resources, token: str) -> None:
    async with resources.database.reading() as session:
        job = (await session.scalars(select(Job))).one()
        row = (await session.scalars(select(OneTimeToken))).one()
    assert token not in f"{job.arguments}{job.result}{job.message}{job.error}{job.checkpoint}"
    assert token not in f"{row.token_hash}{row.details}"
    assert len(row.token_hash) == 64


async def test_while_the_mail_server_is_away_the_job_waits_and_then_sends_a_new_link(
    post: FastAPI, box: Mailbox
) -> None:
    resources: Resources = post.state.resources
    user = await make_user(resources, Role.analyst)
    box.answers["DATA"] = "451 later"
    await ask(post, user.email)
    async with resources.database.transaction() as session:
        job = (await session.scalars(select(Job))).one()
        assert (job.status, job.attempt) == (JobStatus.queued, 1)
        job.run_at = utc_now() - timedelta(seconds=1)
    box.answers.clear()
    await executor.run_until_idle(resources, "tests")
    assert len(box.mails) == 1
    async with resources.database.reading() as session:
        assert await session.scalar(select(Job.status)) == JobStatus.succeeded
        assert await session.scalar(select(func.count(OneTimeToken.id))) == 1


async def test_without_a_mail_server_the_log_says_what_to_do(
    client: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = await make_user(resources, Role.analyst)
    with caplog.at_level(logging.WARNING):
        assert (await client.post(FORGOT, json={"email": user.email})).status_code == 202
        await run_jobs()
    assert "SMTP_URL" in caplog.text
    assert "astralytiq user reset-password" in caplog.text
    async with resources.database.reading() as session:
        assert await session.scalar(select(Job.status)) == JobStatus.succeeded


# Setting the password ---------------------------------------------------------------------------


async def test_a_link_works_once_and_ends_all_sessions(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    admin, analyst = await sign_in(Role.admin), await sign_in(Role.analyst)
    me = (await analyst.get(ME)).json()
    token = await link_for(admin, me["id"])
    at_once = await asyncio.gather(*(reset(client, token) for _ in range(3)))
    assert sorted(answer.status_code for answer in at_once) == [204, 400, 400]
    assert (await analyst.get(ME)).status_code == 401
    assert (await reset(client, token, "yet another one")).status_code == 400
    assert await login(client, me["email"]) == 200
    trail = (await admin.get("/api/v1/audit", params={"action": "user.password_changed"})).json()
    assert "user.password_changed" in str(trail)
    assert token not in str(trail)


async def test_every_link_that_is_no_good_gets_the_same_answer(
    client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    users = [await make_user(resources, Role.analyst) for _ in range(4)]
    used, replaced, closed, expired = [await link_for(admin, user.id) for user in users]
    await reset(client, used)
    await link_for(admin, users[1].id)
    await admin.patch(f"/api/v1/users/{users[2].id}", json={"is_active": False})
    async with resources.database.transaction() as session:
        late = update(OneTimeToken).where(OneTimeToken.user_id == users[3].id)
        await session.execute(late.values(expires_at=utc_now() - timedelta(seconds=1)))
    ticket = (await admin.post("/api/v1/auth/ws-ticket")).json()["ticket"]
    access = admin.headers["Authorization"].removeprefix("Bearer ")
    wrong = (used, replaced, closed, expired, ticket, access[:200], "x", "\u00fc")
    answers = [await reset(client, token) for token in wrong]
    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["detail"] for answer in answers} == {answers[0].json()["detail"]}
    assert "ask" in answers[0].json()["detail"]


async def test_a_link_is_not_a_way_in_by_itself(
    client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    admin, user = await sign_in(Role.admin), await make_user(resources, Role.analyst)
    token = await link_for(admin, user.id)
    for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"auth_token={token}"}):
        assert (await client.get(ME, headers=headers)).status_code == 401
    refreshed = await client.post("/api/v1/auth/refresh", json={"refresh_token": token})
    assert refreshed.status_code == 401


async def test_a_password_or_address_set_meanwhile_ends_the_links_before_it(
    client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    users = [await make_user(resources, Role.analyst) for _ in range(2)]
    tokens = [await link_for(admin, user.id) for user in users]
    by_hand = {"new_password": "set by an admin"}
    await admin.put(f"/api/v1/users/{users[0].id}/password", json=by_hand)
    await admin.patch(f"/api/v1/users/{users[1].id}", json={"email": "new@example.com"})
    assert [(await reset(client, token)).status_code for token in tokens] == [400, 400]


async def test_a_refused_password_leaves_the_link_unused(
    client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    admin, user = await sign_in(Role.admin), await make_user(resources, Role.analyst)
    token = await link_for(admin, user.id)
    for password in ("qwertz7", "ü" * 37):
        refused = await reset(client, token, password)
        assert refused.status_code == 422
        assert password not in refused.text
    assert (await reset(client, token)).status_code == 204


async def test_what_is_neither_json_nor_a_form_is_refused(client: httpx2.AsyncClient) -> None:
    text = await client.post(RESET, content=b"{}", headers={"Content-Type": "text/plain"})
    broken = await client.post(RESET, content=b"{", headers={"Content-Type": "application/json"})
    extra = await client.post(RESET, json={"token": "x", "new_password": NEW, "role": "admin"})
    assert [a.status_code for a in (text, broken, extra)] == [415, 422, 422]


async def test_expired_rows_are_trimmed_when_new_ones_are_made(
    sign_in: SignIn, resources: Resources
) -> None:
    admin = await sign_in(Role.admin)
    for _ in range(2):
        await admin.post("/api/v1/auth/ws-ticket")
    async with resources.database.transaction() as session:
        await session.execute(
            update(OneTimeToken).values(expires_at=utc_now() - timedelta(seconds=1))
        )
    await admin.post("/api/v1/auth/ws-ticket")
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.count(OneTimeToken.id))) == 1


async def test_an_account_takes_its_links_with_it(sign_in: SignIn, resources: Resources) -> None:
    admin, user = await sign_in(Role.admin), await make_user(resources, Role.analyst)
    await link_for(admin, user.id)
    async with resources.database.transaction() as session:
        await session.execute(delete(User).where(User.id == user.id))
    async with resources.database.reading() as session:
        assert await session.scalar(select(func.count(OneTimeToken.id))) == 0


# The page ---------------------------------------------------------------------------------------


async def test_the_page_sets_the_password_and_only_its_form_uses_the_link(
    client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    admin, user = await sign_in(Role.admin), await make_user(resources, Role.analyst)
    token = await link_for(admin, user.id)
    for _ in range(2):
        shown = await client.get(RESET, params={"token": token})
        assert shown.status_code == 200
        assert f'value="{token}"' in shown.text
    # What a browser sends from a page that gives no referrer.
    from_page = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    short = await client.post(RESET, data={"token": token, "new_password": "x"}, headers=from_page)
    assert short.status_code == 422
    assert "at least 8 characters" in short.text
    assert f'value="{token}"' in short.text
    form = {"token": token, "new_password": NEW}
    done = await client.post(RESET, data=form, headers=from_page)
    assert done.status_code == 200
    assert "Your password is set" in done.text
    again = await client.post(RESET, data=form, headers=from_page)
    assert again.status_code == 400
    assert "was used" in again.text
    assert await login(client, user.email) == 200


async def test_the_page_runs_nothing_keeps_nothing_and_tells_nobody(
    client: httpx2.AsyncClient,
) -> None:
    evil = '"><script>alert(1)</script>'
    pages = [
        await client.get(RESET, params={"token": evil}),
        await client.get(RESET),
        await client.post(RESET, data={"token": evil, "new_password": "x"}),
        await client.post(RESET, data={"token": evil, "new_password": NEW}),
        await client.post(RESET, data={"role": "admin"}),
    ]
    assert [page.status_code for page in pages] == [200, 200, 422, 400, 422]
    for page in pages:
        assert page.headers["content-type"].startswith("text/html")
        assert "<script" not in page.text
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        csp = page.headers["content-security-policy"]
        assert "default-src 'none'" in csp
        assert "form-action 'self'" in csp
        assert "script" not in csp
