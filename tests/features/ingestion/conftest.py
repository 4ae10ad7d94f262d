"""An inbox to put files into, and people who may do different things."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.conftest import RunJobs, SignIn

Ingest = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def inbox(settings: Settings) -> Path:
    return settings.home / "inbox"


@pytest.fixture
async def scientist(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


@pytest.fixture
async def viewer(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.viewer)


@pytest.fixture
def ingest(scientist: httpx2.AsyncClient, run_jobs: RunJobs) -> Ingest:
    """Registers a source if it is new, runs it to its end, and answers the run."""

    async def ingest(name: str, full_refresh: bool = False, **fields: Any) -> dict[str, Any]:
        if fields:
            created = await scientist.post("/api/v1/sources", json={"name": name, **fields})
            assert created.status_code == 201, created.text
        started = await scientist.post(
            f"/api/v1/sources/{name}/run", json={"full_refresh": full_refresh}
        )
        assert started.status_code == 202, started.text
        await run_jobs()
        found: dict[str, Any] = (await scientist.get(started.headers["location"])).json()
        return found

    return ingest


def counts(run: dict[str, Any]) -> tuple[int, ...]:
    """Processed, inserted, updated, failed."""
    return tuple(run[f"records_{kind}"] for kind in ("processed", "inserted", "updated", "failed"))
