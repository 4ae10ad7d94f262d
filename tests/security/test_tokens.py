"""Lines 7 to 11: access tokens, their key, refresh tokens and sessions."""

import base64
import hmac
import json
import time
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select, update

from astralytiq.core import security
from astralytiq.core.db import utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.settings import EXAMPLE_SECRETS, Settings, UnsafeSettings
from astralytiq.features.accounts import credentials
from astralytiq.features.accounts.models import RefreshToken, UserSession

from .factories import AUTH, ME, bearer, entered, log_in

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture
async def tokens(client: httpx2.AsyncClient) -> Json:
    return await entered(client)


# Line 7 -----------------------------------------------------------------------------------------


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def opened(token: str) -> tuple[Json, Json]:
    """Header and claims of a token of ours."""
    header, claims, _ = token.split(".")
    return json.loads(jwt.utils.base64url_decode(header)), json.loads(
        jwt.utils.base64url_decode(claims)
    )


def signed(header: Json, claims: Json, key: bytes, digest: str | None = "sha256") -> str:
    """By hand: libraries refuse to write most of what is tried here."""
    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    signature = hmac.digest(key, text.encode(), digest) if digest else b""
    return f"{text}.{part(signature)}"


async def status_of(client: httpx2.AsyncClient, token: str) -> int:
    answer = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


async def test_07_a_token_signed_with_none_or_another_algorithm_is_refused(
    client: httpx2.AsyncClient, tokens: Json, settings: Settings
) -> None:
    header, claims = opened(tokens["access_token"])
    ours = settings.signing_key.encode()
    assert header["alg"] == "HS256"
    assert await status_of(client, signed(header, claims, ours)) == 200  # So these are well made:
    forged = {
        name: signed({**header, "alg": name}, claims, ours, None)
        for name in ("none", "None", "NONE", "nOnE", "")
    }
    forged |= {
        "none, signed": signed({**header, "alg": "none"}, claims, ours),
        "no algorithm": signed({"typ": "JWT"}, claims, ours),
        "HS384": signed({**header, "alg": "HS384"}, claims, ours, "sha384"),
        "HS512": signed({**header, "alg": "HS512"}, claims, ours, "sha512"),
        "RS256 over our HMAC": signed({**header, "alg": "RS256"}, claims, ours),
        "ES256": jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256"),
        "an empty key": signed(header, claims, b""),
        "no signature": tokens["access_token"].rpartition(".")[0] + ".",
        "two parts": tokens["access_token"].rpartition(".")[0],
    }
    answers = {name: await status_of(client, token) for name, token in forged.items()}
    assert answers == dict.fromkeys(forged, 401)


async def test_07_a_token_that_brings_or_names_its_own_key_is_refused(
    client: httpx2.AsyncClient, tokens: Json
) -> None:
    header, claims = opened(tokens["access_token"])
    theirs = b"a key of somebody else, long enough to sign with"
    jwk = {"kty": "oct", "k": part(theirs), "alg": "HS256"}
    brought: list[Json] = [
        {"jwk": jwk},
        {"jku": "https://evil.example/keys.json"},
        {"x5u": "https://evil.example/chain.pem"},
        {"x5c": [part(theirs)]},
        {"kid": "../../dev/null"},
        {"kid": "x' UNION SELECT 'key"},
        {"kid": "unknown", "jwk": jwk},
        {"crit": ["b64"], "b64": False},
    ]
    for more in brought:
        for key in (theirs, b""):
            assert await status_of(client, signed({**header, **more}, claims, key)) == 401, more


async def test_07_every_claim_is_needed_and_must_fit(
    client: httpx2.AsyncClient, tokens: Json, settings: Settings
) -> None:
    header, claims = opened(tokens["access_token"])
    now, key = time.time(), settings.signing_key.encode()
    wrong: list[Json] = [
        {"exp": now - 31}, {"iat": now + 31, "exp": now + 900}, {"nbf": now + 31},
        {"iss": "somebody"}, {"aud": "something"}, {"aud": []}, {"exp": "soon"},
        {"sub": "999999"}, {"sub": 1}, {"sid": "unknown"},
    ]  # fmt: skip
    needed = security.REQUIRED_CLAIMS
    changed = [{k: v for k, v in claims.items() if k != name} for name in needed]
    changed += [{**claims, **change} for change in wrong]
    assert set(security.REQUIRED_CLAIMS) == {"exp", "iat", "jti", "sub", "iss", "aud"}
    assert security.LEEWAY_SECONDS <= 30
    refused = [await status_of(client, signed(header, found, key)) for found in changed]
    assert refused == [401] * len(changed)
    late = {**claims, "exp": now - security.LEEWAY_SECONDS + 5}
    assert await status_of(client, signed(header, late, key)) == 200


@pytest.mark.parametrize("typ", ["refresh", "reset", "csrf", "ws", "", None])
async def test_07_only_an_access_token_is_an_access_token(
    client: httpx2.AsyncClient, tokens: Json, settings: Settings, typ: str | None
) -> None:
    header, claims = opened(tokens["access_token"])
    token = signed(header, {**claims, "typ": typ}, settings.signing_key.encode())
    assert await status_of(client, token) == 401
    del claims["typ"]
    untold = signed(header, claims, settings.signing_key.encode())
    assert await status_of(client, untold) == 401


# Line 8 -----------------------------------------------------------------------------------------


def in_production(secret_key: str) -> Settings:
    return Settings(
        _env_file=None,
        environment="production",
        secret_key=secret_key,
        allowed_hosts=("data.example.org",),
    )


@pytest.mark.parametrize(
    "secret_key",
    [
        "",
        " " * 40,
        "x" * 31,
        "ü" * 15,
        *sorted(EXAMPLE_SECRETS),
        "Your-Secret-Key-Change-In-Production",
    ],
)
def test_08_a_short_or_a_published_secret_stops_the_start(secret_key: str) -> None:
    with pytest.raises(UnsafeSettings, match="SECRET_KEY") as refusal:
        in_production(secret_key).checked()
    assert "token_urlsafe" in str(refusal.value)  # It says how to make a good one,
    # And it shows none.
    assert secret_key.strip() in ("", "secret") or secret_key not in str(refusal.value)


def test_08_a_weak_secret_stops_the_start_wherever_it_is_not_development() -> None:
    weak = {"_env_file": None, "secret_key": "short"}
    with pytest.raises(UnsafeSettings, match="SECRET_KEY"):
        Settings(environment="test", **weak).checked()  # type: ignore[arg-type]
    assert Settings(environment="development", **weak).checked()  # type: ignore[arg-type]


def test_08_32_bytes_of_ones_own_are_enough() -> None:
    assert in_production("0123456789abcdef" * 2).checked()


# Line 9 -----------------------------------------------------------------------------------------


async def test_09_a_refresh_token_is_opaque_random_and_stored_as_its_hash(
    client: httpx2.AsyncClient, tokens: Json, resources: Resources
) -> None:
    again = (await log_in(client)).json()
    body = {"refresh_token": again["refresh_token"]}
    child = (await client.post(f"{AUTH}/refresh", json=body)).json()
    found = [one["refresh_token"] for one in (tokens, again, child)]
    for token in found:
        assert len(jwt.utils.base64url_decode(token)) * 8 >= 128
        with pytest.raises(jwt.DecodeError):
            jwt.decode(token, options={"verify_signature": False})
    async with resources.database.reading() as session:
        stored = set(await session.scalars(select(RefreshToken.token_hash)))
    assert stored == {sha256(token.encode()).hexdigest() for token in found}
    assert len(stored) == 3


# Line 11 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle", "age"), [("session_idle_hours", None), (None, "session_days")], ids=["idle", "old"]
)
async def test_11_the_limits_end_what_the_access_token_opens_too(
    client: httpx2.AsyncClient,
    tokens: Json,
    resources: Resources,
    idle: str | None,
    age: str | None,
) -> None:
    settings, now = resources.settings, utc_now()
    within = {
        "last_seen_at": now - timedelta(hours=settings.session_idle_hours - 1),
        "created_at": now - timedelta(days=settings.session_days, hours=-1),
    }
    beyond = (
        {"last_seen_at": now - timedelta(hours=settings.session_idle_hours + 1)}
        if idle
        else {"created_at": now - timedelta(days=settings.session_days, hours=1)}
    )
    for values, status in ((within, 200), (within | beyond, 401)):
        async with resources.database.transaction() as session:
            await session.execute(update(UserSession).values(**values))
        credentials.cache.forget(tokens["user"]["id"])
        assert await status_of(client, tokens["access_token"]) == status


async def test_11_one_ends_all_ones_other_sessions_at_once(
    client: httpx2.AsyncClient, tokens: Json
) -> None:
    others = [(await log_in(client)).json() for _ in range(2)]
    for one in others:
        assert await status_of(client, one["access_token"]) == 200
    url = f"{AUTH}/sessions"
    assert (await client.delete(url, headers=bearer(tokens))).status_code == 204
    assert [await status_of(client, one["access_token"]) for one in others] == [401, 401]
    (left,) = (await client.get(url, headers=bearer(tokens))).json()
    assert left["current"] is True
    assert {"device", "address", "last_seen_at"} <= left.keys()
