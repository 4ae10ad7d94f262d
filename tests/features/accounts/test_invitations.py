"""Invitations, links that admins hand over, and sessions that they end."""

import json
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from astralytiq.cli import app as command_line
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import SignIn
from tests.core.smtp import Mailbox
from tests.factories import make_user, signed_in
from tests.features.accounts.conftest import login, reset, token_in

pytestmark = pytest.mark.anyio

INVITE = "/api/v1/users/invite"
ME = "/api/v1/auth/me"


async def test_somebody_invited_sets_a_password_and_signs_in(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    admin = await sign_in(Role.admin)
    body = {"email": "Ada@Example.com", "role": "data_scientist", "full_name": "Ada L."}
    made = await admin.post(INVITE, json=body, headers={"Idempotency-Key": "one"})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    found = made.json()
    assert (found["user"]["username"], found["user"]["role"]) == ("Ada", "data_scientist")
    assert found["mailed"] is False
    assert found["link"].startswith("http://127.0.0.1:8000/api/v1/auth/password/reset?token=")
    again = await admin.post(INVITE, json=body, headers={"Idempotency-Key": "one"})
    assert again.status_code == 409  # An answer with a secret is not kept.
    assert await login(client, "ada@example.com", "") == 401
    assert (await reset(client, token_in(found["link"]))).status_code == 204
    assert await login(client, "ada@example.com") == 200


async def test_a_name_that_is_taken_is_not_given_twice(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    names = []
    for email in ("ada@example.com", "ada@example.org", "o@example.com"):
        made = await admin.post(INVITE, json={"email": email})
        names.append(made.json()["user"]["username"])
    assert names == ["ada", "ada@example.org", "o@example.com"]


async def test_an_invitation_is_mailed_where_mail_is_set_up(post: FastAPI, box: Mailbox) -> None:
    async with await signed_in(post, Role.admin) as admin:
        made = await admin.post(INVITE, json={"email": "ada@example.com"})
        assert made.json()["mailed"] is True
        (mail,) = box.mails
        assert token_in(mail.get_content()) == token_in(made.json()["link"])
        box.answers["RCPT"] = "550 nobody"
        unsent = await admin.post(INVITE, json={"email": "bob@example.com"})
        assert (unsent.status_code, unsent.json()["mailed"]) == (201, False)


async def test_only_admins_invite_make_links_and_sign_others_out(
    sign_in: SignIn, resources: Resources
) -> None:
    user = await make_user(resources, Role.analyst)
    url = f"/api/v1/users/{user.id}"
    for role in (Role.viewer, Role.data_scientist):
        other = await sign_in(role)
        answers = [
            await other.post(INVITE, json={"email": "x@example.com", "role": "admin"}),
            await other.post(f"{url}/link"),
            await other.get(f"{url}/sessions"),
            await other.delete(f"{url}/sessions"),
        ]
        assert {answer.status_code for answer in answers} == {403}
    admin = await sign_in(Role.admin)
    for method, path in (("POST", "link"), ("GET", "sessions"), ("DELETE", "sessions")):
        assert (await admin.request(method, f"/api/v1/users/999/{path}")).status_code == 404
    await admin.patch(url, json={"is_active": False})
    assert (await admin.post(f"{url}/link")).status_code == 409


async def test_an_admin_sees_and_ends_all_sessions_of_an_account(sign_in: SignIn) -> None:
    admin, analyst = await sign_in(Role.admin), await sign_in(Role.analyst)
    me = (await analyst.get(ME)).json()
    url = f"/api/v1/users/{me['id']}/sessions"
    (listed,) = (await admin.get(url)).json()
    assert (listed["device"], listed["current"]) == ("tests", False)
    assert (await admin.delete(url)).status_code == 204
    assert (await analyst.get(ME)).status_code == 401
    assert (await admin.get(url)).json() == []
    trail = await admin.get("/api/v1/audit", params={"action": "user.signed_out"})
    assert f"user/{me['id']}" in trail.text


def test_an_admin_invites_makes_links_and_signs_out_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASTRALYTIQ_HOME", str(tmp_path / "home"))
    commands = CliRunner()
    invited = commands.invoke(command_line, ["user", "invite", "ada@example.com"])
    assert invited.exit_code == 0, invited.stderr
    assert invited.stdout.startswith("http://127.0.0.1:8000/api/v1/auth/password/reset?token=")
    assert "not shown again" in invited.stderr
    linked = commands.invoke(command_line, ["user", "link", "ada", "--json"])
    assert sorted(json.loads(linked.stdout)) == ["expires_at", "link"]
    assert commands.invoke(command_line, ["user", "sign-out", "ada"]).exit_code == 0
    refused = commands.invoke(command_line, ["user", "link", "nobody"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
