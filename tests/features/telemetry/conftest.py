"""Somebody who may do everything with telemetry."""

import httpx2
import pytest

from astralytiq.core.security import Role
from tests.conftest import SignIn


@pytest.fixture
async def admin(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.admin)
