"""A client that was written against the older paths works unchanged, with nothing but urllib."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.journeys.servers import served

ADA = {"email": "ada@example.com", "username": "ada", "password": "ada's old client"}


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class OldClient:
    url: str

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        form: bool = False,
    ) -> Answer:
        sent = dict(headers or {})
        data = None
        if body is not None:
            data = (urlencode(body) if form else json.dumps(body)).encode()
            media = "application/x-www-form-urlencoded" if form else "application/json"
            sent["Content-Type"] = media
        request = Request(self.url + path, data, sent, method=method)
        try:
            with urlopen(request, timeout=120) as answer:
                return Answer(answer.status, json.load(answer))
        except HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, json.load(refusal))


def test_a_client_of_the_older_paths_works_unchanged(tmp_path: Path, database_url: str) -> None:
    with served(tmp_path / "home", "up", DATABASE_URL=database_url) as server:
        client = OldClient(server.url)
        registers_once(client)
        token = signs_in_by_form(client)
        keeps_tasks(client, token)
        signs_in_by_json(client)
        comes_in_by_every_way(client, token)


def registers_once(client: OldClient) -> None:
    made = client.ask("POST", "/api/v1/auth/register", ADA)
    assert made.status == 200
    assert {"username", "email", "id"} <= made.body.keys()
    assert (made.body["username"], made.body["email"]) == (ADA["username"], ADA["email"])
    assert not any("hash" in name or "password" in name for name in made.body)
    assert client.ask("POST", "/api/v1/auth/register", ADA).status == 400


def signs_in_by_form(client: OldClient) -> str:
    form = {"username": ADA["username"], "password": ADA["password"]}
    answer = client.ask("POST", "/api/v1/auth/login", form, form=True)
    assert (answer.status, answer.body["token_type"]) == (200, "bearer")
    token: str = answer.body["access_token"]
    return token


def keeps_tasks(client: OldClient, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    body = {"title": "learn", "description": "something"}
    made = client.ask("POST", "/api/v1/tasks/", body, bearer)
    assert (made.status, made.body["is_completed"]) == (200, False)
    assert {"id", "owner_id", "title", "description", "is_completed"} <= made.body.keys()
    listed = client.ask("GET", "/api/v1/tasks/", headers=bearer)
    assert isinstance(listed.body, list)
    assert [task["id"] for task in listed.body] == [made.body["id"]]
    assert (
        listed.body[0]["owner_id"]
        == client.ask("GET", "/api/v1/auth/me", headers=bearer).body["id"]
    )


def signs_in_by_json(client: OldClient) -> None:
    body = {"email": ADA["email"], "password": ADA["password"]}
    answer = client.ask("POST", "/api/v1/auth/login", body)
    assert answer.status == 200
    assert {"access_token", "token_type", "expires_in", "user"} <= answer.body.keys()
    assert {"id", "email", "name", "role"} <= answer.body["user"].keys()
    assert isinstance(answer.body["expires_in"], int)
    wrong = client.ask("POST", "/api/v1/auth/login", {**body, "password": "wrong"})
    assert wrong.status == 401
    me = client.ask(
        "GET", "/api/v1/auth/me", headers={"Authorization": f"Bearer {answer.body['access_token']}"}
    )
    assert me.status == 200
    assert {name: me.body[name] for name in ("id", "email", "name", "role")} == {
        name: answer.body["user"][name] for name in ("id", "email", "name", "role")
    }


def comes_in_by_every_way(client: OldClient, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    body = {"name": "old client", "scopes": ["tasks:read"]}
    key = client.ask("POST", "/api/v1/api-keys", body, bearer).body["key"]
    ways = (
        bearer,
        {"Cookie": f'access_token="Bearer {token}"'},
        {"Cookie": f"access_token=Bearer {token}"},
        {"Cookie": f"access_token={token}"},
        {"Cookie": f"auth_token={token}"},
        {"X-API-Key": key},
        {"Authorization": f"Bearer {key}"},
    )
    for way in ways:
        assert client.ask("GET", "/api/v1/auth/me", headers=way).body["email"] == ADA["email"], way
        assert len(client.ask("GET", "/api/v1/tasks/", headers=way).body) == 1, way
    assert client.ask("GET", "/api/v1/auth/me").status == 401
