"""Finds out who is calling: a bearer token, an API key, a cookie, or nobody."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.requests import HTTPConnection

from astralytiq.core.errors import Forbidden, Unauthenticated
from astralytiq.core.security import Actor, anonymous
from astralytiq.core.settings import LOOPBACK_HOSTS
from astralytiq.core.web import SAFE_METHODS, app_resources, needs

from . import csrf, signing_in
from .credentials import Verified, cache
from .sessions import Origin
from .throttle import Throttle

# The names of today over HTTPS, of today, and of older clients.
ACCESS_COOKIES = ("__Host-auth_token", "auth_token", "access_token")
FORWARDED = ("forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-host")
REFRESH_COOKIES = ("__Host-refresh_token", "refresh_token")


async def authenticate(request: Request) -> Actor:
    credential = header_credential(request)
    if credential is not None:  # It wins: cookies beside it are ignored.
        return (await verified(request, credential)).actor
    if credential := cookie_of(request, ACCESS_COOKIES):
        found = await verified(request, credential)
        if request.method not in SAFE_METHODS:
            csrf.refuse_forged(request, found.session_id)
        return found.actor.through("cookie")
    scopes = app_resources(request).settings.open_scopes
    if came_from_loopback(request):
        scopes |= app_resources(request).settings.loopback_scopes
    return anonymous(scopes)


def header_credential(request: HTTPConnection) -> str | None:
    """A bearer token, or an API key in either header."""
    if key := request.headers.get("x-api-key"):
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie_of(request: HTTPConnection, names: tuple[str, ...]) -> str | None:
    for name in names:
        if value := request.cookies.get(name):
            # Quoted by servers, percent-encoded by scripts: a cookie holds no bare space.
            return unquote(value.strip('"')).removeprefix("Bearer ").strip()
    return None


async def verified(request: Request, credential: str) -> Verified:
    """From the cache if it was verified before and not revoked since."""
    found = cache.get(credential)
    if found is None:
        mark = cache.mark
        found = await signing_in.verify(app_resources(request), credential)
        cache.put(credential, found, mark)
    request.state.session_id = found.session_id
    request.state.verified = found
    return found


def came_from_loopback(request: Request) -> bool:
    """Peer and Host both: a page elsewhere that rebinds its name to 127.0.0.1 has another Host."""
    if any(name in request.headers for name in FORWARDED):
        return False  # Somebody else's request, handed on by a proxy on this machine.
    peer = request.client.host if request.client else ""
    return peer in LOOPBACK_HOSTS and request.url.hostname in LOOPBACK_HOSTS


async def origin_of(request: Request) -> Origin:
    address = request.client.host if request.client else None
    return Origin(request.headers.get("user-agent"), address)


async def throttle_of(request: Request) -> Throttle:
    """One for the whole application: it holds the slots of those who are signing in."""
    state = request.app.state
    if not hasattr(state, "throttle"):
        state.throttle = Throttle(app_resources(request).limits)
    found: Throttle = state.throttle
    return found


Account = Annotated[Actor, needs()]


async def in_person(request: Request, actor: Account) -> Actor:
    """No API key, also not one that comes as a cookie: who finds a device must not get all."""
    if not actor.via.startswith("local:"):
        session_id_of(request)
    return actor


# An account's owner themselves: for the doors by which an account is managed.
Person = Annotated[Actor, Depends(in_person)]
Throttled = Annotated[Throttle, Depends(throttle_of)]


def verified_of(request: Request) -> Verified:
    """What is known of the account behind this request, without asking the database again."""
    found: Verified | None = getattr(request.state, "verified", None)
    if found is None:
        raise Unauthenticated("Sign in first: this needs an account.")
    return found


CameFrom = Annotated[Origin, Depends(origin_of)]


async def refuse_foreign_origin(request: Request) -> None:
    """Login CSRF: a page elsewhere must not sign its visitor in as somebody else."""
    if not csrf.is_ours(request):
        raise Forbidden("This page may not sign anybody in here: open our own address.")


SameOrigin = Depends(refuse_foreign_origin)


def session_id_of(request: Request) -> str:
    """The sign-in behind this request; a key has none."""
    found: str | None = getattr(request.state, "session_id", None)
    if found is None:
        raise Forbidden("This needs a sign-in, not an API key: keys manage no account.")
    return found
