"""Makes what the security tests start from: one account that signs in by its password."""

from typing import Any

import httpx2

ALICE = {"email": "alice@example.com", "username": "alice", "password": "correct horse"}
LOGIN = {"email": ALICE["email"], "password": ALICE["password"]}
PAGE = {"Origin": "http://astralytiq.test", "Sec-Fetch-Site": "same-origin"}
ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

AUTH = "/api/v1/auth"
ME = f"{AUTH}/me"
KEYS = "/api/v1/api-keys"
USERS = "/api/v1/users"


async def register(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post(f"{AUTH}/register", json={**ALICE, **changes})


async def log_in(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post(f"{AUTH}/login", json={**LOGIN, **changes})


async def entered(client: httpx2.AsyncClient) -> dict[str, Any]:
    """Registered and signed in: the tokens."""
    assert (await register(client)).status_code == 200
    answer = await log_in(client)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def told(answer: httpx2.Response) -> dict[str, Any]:
    """All that the answer says, but the number of the request."""
    body: dict[str, Any] = answer.json()
    body.pop("request_id")
    kept = ("content-type", "www-authenticate", "cache-control", "retry-after")
    headers = {name: answer.headers.get(name) for name in kept}
    return {"status": answer.status_code, "body": body, "headers": headers}
