"""Makes what tests start from: accounts and clients that are signed in."""

from pathlib import Path
from uuid import uuid4

import httpx2
from fastapi import FastAPI

from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.core.storage import FolderStorage
from astralytiq.features.accounts import service as accounts
from astralytiq.features.accounts import sessions
from astralytiq.features.accounts.models import User

# Hashing takes 235 ms: tests that do not sign in by password share a hash nobody can match.
UNUSABLE_HASH = "$2b$12$" + "." * 53


async def make_user(resources: Resources, role: Role) -> User:
    name = f"{role}.{uuid4().hex[:8]}"
    return await resources.database.write(
        lambda session: accounts.create(
            session,
            SYSTEM,
            email=f"{name}@example.com",
            username=name,
            password_hash=UNUSABLE_HASH,
            role=role,
        )
    )


def make_client(
    app: FastAPI, token: str | None = None, address: str = "203.0.113.9"
) -> httpx2.AsyncClient:
    """A program on another machine: loopback's own scopes are tested where they belong."""
    transport = httpx2.ASGITransport(app, client=(address, 5000))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.AsyncClient(
        transport=transport, base_url="http://astralytiq.test", headers=headers
    )


async def signed_in(app: FastAPI, role: Role) -> httpx2.AsyncClient:
    resources: Resources = app.state.resources
    user = await make_user(resources, role)
    access = await resources.database.write(
        lambda session: sessions.begin(session, resources.settings, user, sessions.Origin("tests"))
    )
    return make_client(app, access.access_token)


def folder_of(resources: Resources) -> Path:
    """Where the tests' files are; not every form of storage has a folder."""
    assert isinstance(resources.storage, FolderStorage)
    return resources.storage.root
