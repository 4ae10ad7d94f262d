"""Finds out who is calling: an access token, or nobody with the scopes that are open to all."""

from fastapi import Request

from astralytiq.core.security import Actor, anonymous
from astralytiq.core.settings import LOOPBACK_HOSTS
from astralytiq.core.web import app_resources

from . import service


async def authenticate(request: Request) -> Actor:
    resources = app_resources(request)
    header = request.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer" and token:
        return await service.actor_of_token(resources, token.strip())
    scopes = resources.settings.open_scopes
    if came_from_loopback(request):
        scopes |= resources.settings.loopback_scopes
    return anonymous(scopes)


def came_from_loopback(request: Request) -> bool:
    """Peer and Host both: a page elsewhere that rebinds its name to 127.0.0.1 has another Host."""
    peer = request.client.host if request.client else ""
    return peer in LOOPBACK_HOSTS and request.url.hostname in LOOPBACK_HOSTS
