"""Tests that the house makes of itself: its doors answer, and open only to whom they may."""

import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from astralytiq.core import security
from astralytiq.core.db import utc_now
from astralytiq.core.security import Actor
from astralytiq.core.settings import Settings

from .rehearsal import Answered, Rehearsal
from .schemas import SelfTestRead, TestRead

Json = Mapping[str, Any]

OWN = "/monitoring/validate/"
# They read everything that there is: how long that takes says nothing of whether they work.
WHOLE = ("/users/me/export", "/audit/verify")
ABSENT = {"integer": str((1 << 53) - 1), "string": "self-test-absent"}
FOUND = (200,)
NOT_FOUND = (404, 409, 422)
CONVERTER = re.compile(r":\w+}")
ME = "/api/v1/auth/me"
LOGIN = "/api/v1/auth/login"
MINUTES = 1


@dataclass(frozen=True)
class Door:
    """A door that only reads."""

    path: str
    address: str
    expected: tuple[int, ...]
    scopes: frozenset[str] | None

    @property
    def name(self) -> str:
        return f"GET {self.path}"


# Doors ------------------------------------------------------------------------------------------


def doors(document: Json) -> tuple[list[Door], list[str]]:
    """Those that can be tried, and those that are not, with the reason."""
    found, skipped = [], []
    for path, operations in document["paths"].items():
        operation = operations.get("get")
        if operation is None:
            continue
        if reason := why_not(path, operation):
            skipped.append(f"GET {path}: {reason}")
        else:
            found.append(door(path, operation))
    return found, skipped


def why_not(path: str, operation: Json) -> str:
    if OWN in path:
        return "a self-test"
    if path.endswith(WHOLE):
        return "it reads everything that there is"
    if "200" not in operation["responses"]:
        return "it begins something"
    asked = [one["name"] for one in operation.get("parameters", ()) if is_asked(one)]
    return f"it wants {', '.join(asked)}" if asked else ""


def is_asked(parameter: Json) -> bool:
    return bool(parameter["in"] == "query" and parameter.get("required"))


def door(path: str, operation: Json) -> Door:
    """With names of nothing in its path: that there is none must be found out, too."""
    address = path
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            absent = ABSENT.get(one["schema"].get("type", "string"), ABSENT["string"])
            address = address.replace(f"{{{one['name']}}}", absent)
    asked = [scopes for way in operation.get("security", ()) for scopes in way.values()]
    scopes = frozenset(asked[0]) if asked else None
    return Door(path, address, FOUND if address == path else NOT_FOUND, scopes)


async def endpoints(rehearsal: Rehearsal, document: Json) -> SelfTestRead:
    """Every door that only reads, asked as the admin who wants to know."""
    tried, skipped = doors(document)
    results = [
        judged(one.name, one.expected, await rehearsal.ask("GET", one.address), one.path)
        for one in tried
    ]
    return report(results, skipped)


# Authentication ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A way to come in, and what must become of it."""

    name: str
    expected: int
    method: str = "GET"
    path: str = ME
    headers: Mapping[str, str] | None = None
    body: Json | None = None


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def attempts(settings: Settings, actor: Actor) -> Iterator[Attempt]:
    key, who = settings.signing_key, actor.account_id

    def token(minutes: float = MINUTES, signed_with: str = key, **claims: str) -> dict[str, str]:
        return bearer(security.issue_token(signed_with, who, minutes, via="self-test", **claims))

    unknown = f"ak_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
    header, claims, _ = token()["Authorization"].split(".")
    wrong = {"password": secrets.token_urlsafe(24)}
    yield Attempt("a valid token is accepted", 200, headers=token())
    yield Attempt("no credential is refused", 401)
    yield Attempt("an expired token is refused", 401, headers=token(-5 * MINUTES))
    yield Attempt(
        "a token of another key is refused", 401, headers=token(signed_with=secrets.token_hex(32))
    )
    forged = {"Authorization": f"{header}.{claims}.{secrets.token_urlsafe(32)}"}
    yield Attempt("a changed signature is refused", 401, headers=forged)
    yield Attempt("a token of another kind is refused", 401, headers=token(typ="refresh"))
    yield Attempt("what is no token is refused", 401, headers=bearer("nothing"))
    for name, headers in (("a bearer", bearer(unknown)), ("X-API-Key", {"X-API-Key": unknown})):
        yield Attempt(f"an API key that is gone is refused as {name}", 401, headers=headers)
    for name, account in (("of the account", actor.name), ("of no account", "nobody@example.com")):
        body = {"email": account, **wrong}
        yield Attempt(f"a wrong password {name} is refused", 401, "POST", LOGIN, body=body)
    yield Attempt("a sign-in by a page elsewhere is refused", 403, "POST", LOGIN,
                  headers={"Origin": "https://elsewhere.example"},
                  body={"email": actor.name, **wrong})  # fmt: skip


async def authentication(
    rehearsal: Rehearsal, settings: Settings, actor: Actor, document: Json
) -> SelfTestRead:
    results = [
        judged(one.name, (one.expected,), await rehearsal.ask(
            one.method, one.path, headers=one.headers, body=one.body
        ))
        for one in attempts(settings, actor)
    ]  # fmt: skip
    tried, skipped = doors(document)
    closed = [one for one in tried if is_closed(one, settings)]
    for one in closed:
        name = f"nobody is refused by {one.name}"
        results.append(judged(name, (401,), await rehearsal.ask("GET", one.address)))
    return report(results, skipped)


def is_closed(door: Door, settings: Settings) -> bool:
    """To those without a credential, who may have some scopes by ANONYMOUS_SCOPES."""
    return door.scopes is not None and not (door.scopes and door.scopes <= settings.open_scopes)


# Results ----------------------------------------------------------------------------------------


def judged(
    name: str, expected: Collection[int], answer: Answered, path: str | None = None
) -> TestRead:
    """`path`: also that this door answered, and no other that stands before it."""
    words = ""
    if answer.status is None:
        words = "no answer in time"
    elif answer.status not in expected:
        words = f"answered {answer.status}: {told(answer)}"
    elif path and (reached := CONVERTER.sub("}", answer.door[1] if answer.door else "")) != path:
        words = f"another door answered: {reached}"
    return TestRead(
        name=name,
        passed=not words,
        expected=" or ".join(map(str, expected)),
        status_code=answer.status,
        latency_ms=round(answer.seconds * 1000, 2),
        detail=words or "as expected",
    )


def told(answer: Answered) -> str:
    """The refusal's own words, and where the log has more."""
    response, words = answer.response, ""
    if response is None:
        return words
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        words = str(response.json().get("detail", ""))
    return f"{words} (request {response.headers.get('x-request-id', '-')})"


def report(results: list[TestRead], skipped: list[str]) -> SelfTestRead:
    passed = sum(result.passed for result in results)
    return SelfTestRead(
        status="passed" if passed == len(results) else "failed",
        total=len(results),
        passed=passed,
        failed=len(results) - passed,
        skipped=skipped,
        results=results,
        timestamp=utc_now(),
    )
