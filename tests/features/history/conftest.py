"""What the history tests start from: a few entries, and somebody who may read them."""

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import Database
from astralytiq.core.security import SYSTEM, Actor, Role
from tests.conftest import SignIn

ADA = Actor(900, "ada@example.com", frozenset(), Role.analyst)
BOB = Actor(901, "bob@example.com", frozenset(), Role.analyst)


async def tell(
    database: Database,
    action: str,
    resource: str,
    actor: Actor = ADA,
    outcome: str = "ok",
    **details: object,
) -> None:
    async def record(session: AsyncSession) -> None:
        audit.record(session, actor, action, resource, outcome=outcome, **details)

    await database.write(record)


@pytest.fixture
async def admin(sign_in: SignIn) -> httpx2.AsyncClient:
    """Making the account is itself the first entry."""
    return await sign_in(Role.admin)


@pytest.fixture
async def story(admin: httpx2.AsyncClient, database: Database) -> None:
    await tell(database, "dataset.created", "dataset/1", name="flowers")
    await tell(database, "dataset.deleted", "dataset/1", BOB)
    await tell(database, "model.stage_changed", "model/flowers/1", BOB, before="none")
    await tell(database, "user.signed_in", "user/900", outcome="refused")
    await tell(database, "run.started", "run/7", SYSTEM)
