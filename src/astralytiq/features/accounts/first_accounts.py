"""The accounts of an empty home, and those of the demo."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import select

from astralytiq.core import security
from astralytiq.core.errors import Forbidden
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.core.settings import Settings, kept_value

from .models import User
from .service import create, find

FIRST_PASSWORD = "first_password"
PASSWORD_SIZE = 12  # bytes: 96 random bits, and 16 characters that a person can type
DEMO_ACCOUNTS = (
    ("admin@astralytiq.com", "admin", "admin123", "Demo Admin", Role.admin),
    ("analyst@astralytiq.com", "analyst", "analyst123", "Demo Analyst", Role.analyst),
    (
        "data.scientist@astralytiq.com",
        "data.scientist",
        "ds123",
        "Demo Data Scientist",
        Role.data_scientist,
    ),
)


@dataclass(frozen=True)
class FirstAdmin:
    """`password` is None when it was configured: then its owner knows it, and it is not printed."""

    email: str
    password: str | None


async def any_account(resources: Resources) -> bool:
    async with resources.database.reading() as session:
        return await session.scalar(select(User.id).limit(1)) is not None


async def ensure_admin(resources: Resources) -> FirstAdmin | None:
    """An empty home gets its first admin; None when somebody is there already."""
    settings = resources.settings
    note = settings.home / FIRST_PASSWORD
    given = settings.admin_password.get_secret_value()
    if not await any_account(resources):
        # In the file first: a process that is killed before it has told anybody must not lose it.
        password = given or await asyncio.to_thread(kept_value, note, PASSWORD_SIZE)
        await store_account(resources, settings.admin_email, "admin", password, None, Role.admin)
        return FirstAdmin(settings.admin_email, None if given else password)
    return FirstAdmin(settings.admin_email, note.read_text()) if note.exists() else None


def untold(settings: Settings) -> bool:
    return (settings.home / FIRST_PASSWORD).exists()


def forget_first_password(settings: Settings) -> None:
    """It was told: it stands nowhere any more."""
    (settings.home / FIRST_PASSWORD).unlink(missing_ok=True)


async def ensure_demo_accounts(resources: Resources) -> None:
    if resources.settings.production:
        raise Forbidden("The demo accounts have public passwords: they never exist in production.")
    for account in DEMO_ACCOUNTS:
        async with resources.database.reading() as session:
            known = await find(session, account[0])
        if known is None:
            await store_account(resources, *account)


async def store_account(
    resources: Resources,
    email: str,
    username: str,
    password: str,
    full_name: str | None,
    role: Role,
) -> None:
    hashed = await security.hash_password(password)
    async with resources.database.reading() as session:
        if await find(session, username):  # An older home's admin has the name already.
            username = email
    await resources.database.write(
        lambda session: create(
            session, SYSTEM,
            email=email, username=username, password_hash=hashed, role=role, full_name=full_name,
        )
    )  # fmt: skip


async def demo_accounts_with_known_passwords(resources: Resources) -> list[str]:
    """The demo accounts that anybody who reads the README can use."""
    found = []
    for email, _, password, _, _ in DEMO_ACCOUNTS:
        async with resources.database.reading() as session:
            user = await find(session, email)
        stored = user.password_hash if user and user.is_active else None
        if stored and await security.password_matches(password, stored):
            found.append(email)
    return found
