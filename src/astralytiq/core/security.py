"""Actors and what they may do; passwords and access tokens."""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.bcrypt import BcryptHasher

from astralytiq.core.db import new_id, utc_now
from astralytiq.core.errors import Forbidden, Unauthenticated

ALGORITHM = "HS256"
ISSUER = AUDIENCE = "astralytiq"
LEEWAY_SECONDS = 10
REQUIRED_CLAIMS = ["exp", "iat", "jti", "sub", "iss", "aud"]
HEADERS = frozenset({"alg", "typ", "kid"})  # no jku, jwk or x5u, which bring their own key
PASSWORD_BYTES = 72  # bcrypt reads no further


class Role(StrEnum):
    viewer = "viewer"
    analyst = "analyst"
    data_scientist = "data_scientist"
    admin = "admin"


# What each role adds to the one before it.
ADDED_SCOPES: dict[Role, frozenset[str]] = {
    Role.viewer: frozenset(
        {"alerts:read", "dashboards:read", "data:read", "datasets:read", "jobs:read",
         "metrics:read", "models:read", "projects:read", "runs:read", "sources:read", "tasks:read",
         "telemetry:read"}
    ),
    Role.analyst: frozenset(
        {"dashboards:write", "datasets:write", "models:predict", "projects:write", "tasks:write"}
    ),
    Role.data_scientist: frozenset(
        {"alerts:write", "etl:run", "jobs:write", "models:write", "sources:write", "metrics:write",
         "telemetry:write"}
    ),
    Role.admin: frozenset(
        {"audit:read", "system:read", "telemetry:admin", "users:read", "users:write"}
    ),
}  # fmt: skip


@cache
def scopes_of(role: Role) -> frozenset[str]:
    ladder = list(Role)
    return frozenset[str]().union(
        *(ADDED_SCOPES[step] for step in ladder[: ladder.index(role) + 1])
    )


@dataclass(frozen=True)
class Actor:
    """Who is calling. `id` is None for callers without an account; `via` says how they came in."""

    id: int | None
    name: str
    scopes: frozenset[str]
    role: Role | None = None
    via: str = "bearer"

    @property
    def is_admin(self) -> bool:
        return self.role is Role.admin

    @property
    def account_id(self) -> int:
        """The owner of what this actor makes."""
        if self.id is None:
            raise Unauthenticated("Sign in first: this needs an account.")
        return self.id

    @property
    def identity(self) -> str:
        """Under this, what was asked for is found again; erasure looks for the account's number."""
        return str(self.id or self.name)

    def through(self, via: str) -> "Actor":
        return replace(self, via=via)

    def for_job(self) -> dict[str, Any]:
        """The arguments of a job that goes on in this actor's name: `of_job` takes them."""
        return {"actor_id": self.id, "actor_name": self.name, "actor_role": self.role}

    @classmethod
    def of_job(cls, actor_id: int, actor_name: str, actor_role: str | None) -> "Actor":
        """Without permissions: those were asked for when the job was."""
        role = Role(actor_role) if actor_role else None
        return cls(actor_id, actor_name, frozenset(), role, via="job")

    def require(self, *scopes: str) -> None:
        missing = [scope for scope in scopes if scope not in self.scopes]
        if missing and self.id is None:
            raise Unauthenticated("Sign in first: send 'Authorization: Bearer <token>'.")
        if missing:
            raise Forbidden(f"This needs the permission {missing[0]!r}; ask an admin for it.")


def anonymous(scopes: frozenset[str]) -> Actor:
    return Actor(id=None, name="anonymous", scopes=scopes, via="anonymous")


SYSTEM = Actor(id=None, name="system", scopes=frozenset(), via="system")


# bcrypt at cost 12 takes 235 ms of a core: a few at a time, so that sign-ins fill no machine.
HASHES_AT_ONCE = max(2, min(4, os.cpu_count() or 1))
_hashing_pool = ThreadPoolExecutor(HASHES_AT_ONCE, thread_name_prefix="bcrypt")
_hasher = PasswordHash((BcryptHasher(rounds=12),))


@cache
def dummy_hash() -> str:
    """What an unknown account's password is compared with, so that it takes the same time."""
    return _hasher.hash("nobody has this password")


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_hashing_pool, _hasher.hash, password)


async def password_matches(password: str, stored: str | None) -> bool:
    """Compare in the pool, never inside a transaction; exactly one hash whatever the account."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_hashing_pool, _compare, password, stored)


async def compare_password(password: str, stored: str | None) -> tuple[bool, str | None]:
    """The same, and a new hash where the stored one has another cost and the password is right."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_hashing_pool, _compare_and_renew, password, stored)


def _compare(password: str, stored: str | None) -> bool:
    # bcrypt raises above 72 bytes: such a password fits no account, but must take the same time.
    fits = len(password.encode()) <= PASSWORD_BYTES
    given = password if fits else "x"
    try:
        matches = _hasher.verify(given, stored or dummy_hash())
    except UnknownHashError:  # Of another program, or of an account without a password.
        stored, matches = None, _hasher.verify(given, dummy_hash())
    return matches and fits and bool(stored)  # An erased account has the empty hash.


def _compare_and_renew(password: str, stored: str | None) -> tuple[bool, str | None]:
    matches = _compare(password, stored)
    if stored is None or not is_outdated(stored):
        return matches, None
    if matches:
        return True, _hasher.hash(password)
    _compare(password, None)  # A cheaper hash must not answer sooner than no account at all.
    return False, None


def is_outdated(stored: str) -> bool:
    """A bcrypt hash of another cost than ours."""
    return BcryptHasher.identify(stored) and _hasher.current_hasher.check_needs_rehash(stored)


@cache
def common_passwords() -> frozenset[str]:
    """The head of the published lists. NIST SP 800-63B asks for such a list, not for capitals."""
    return frozenset(Path(__file__).with_name("common_passwords.txt").read_text().split())


def is_common(password: str) -> bool:
    return password.lower() in common_passwords()


def key_id(key: str) -> str:
    """Names a key without telling it."""
    return hashlib.sha256(f"key id\x00{key}".encode()).hexdigest()[:16]


def issue_token(key: str, user_id: int, minutes: float, **claims: str) -> str:
    import jwt  # noqa: PLC0415 - with its cryptography 0.15 s: not on the start path

    now = utc_now()
    payload: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "iat": now,
        "exp": now + timedelta(minutes=minutes),
        "jti": new_id(),
        "typ": "access",
        **claims,
    }
    return jwt.encode(payload, key, ALGORITHM, headers={"kid": key_id(key)})


def read_token(keys: Sequence[str], token: str) -> dict[str, Any]:
    """The claims of a valid access token that one of `keys` signed.

    Algorithm and keys are ours, never the token's choice: it only names which of them it was.
    """
    import jwt  # noqa: PLC0415 - with its cryptography 0.15 s: not on the start path

    try:
        header = jwt.get_unverified_header(token)
        known = {key_id(key): key for key in keys}
        if not header.keys() <= HEADERS or header.get("kid") not in known:
            raise jwt.InvalidTokenError
        claims: dict[str, Any] = jwt.decode(
            token,
            known[header["kid"]],
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
    except jwt.InvalidTokenError:
        raise Unauthenticated("The token is not valid or has expired: sign in again.") from None
    if claims.get("typ") != "access":
        raise Unauthenticated("This is not an access token: sign in again.")
    return claims
