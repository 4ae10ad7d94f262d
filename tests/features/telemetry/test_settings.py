"""What is set for telemetry: how often a device may post, and how its events are graded."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest

from astralytiq.app import create_app
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings, UnsafeSettings
from tests.factories import signed_in
from tests.features.telemetry.factories import ago, get, post, reading

pytestmark = pytest.mark.anyio

House = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def house(settings: Settings) -> House:
    """An admin's client of a house with other settings."""

    @asynccontextmanager
    async def opened(**other: Any) -> AsyncIterator[httpx2.AsyncClient]:
        app = create_app(settings.model_copy(update=other))
        async with app.router.lifespan_context(app), await signed_in(app, Role.admin) as client:
            yield client

    return opened


async def test_events_have_a_budget_of_their_own(house: House) -> None:
    async with house(rate_limit_telemetry="2/minute") as client:
        await post(client)
        batch = await client.post("/telemetry/batch", json={"events": [reading()] * 5})
        assert batch.headers["RateLimit-Remaining"] == "0"
        refused = await client.post("/telemetry", json=reading())
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) <= 60
        assert (await get(client, "/statistics"))["total_events"] == 6


async def test_other_thresholds_grade_otherwise(house: House) -> None:
    async with house(telemetry_open_ear=0.2, telemetry_critical_seconds=6.0) as client:
        assert (await post(client, ear_value=0.22, duration_ms=9000))["severity"] == "none"
        assert (await post(client, ear_value=0.2, duration_ms=9000))["severity"] == "critical"


async def test_events_older_than_they_are_kept_are_refused(house: House) -> None:
    async with house(telemetry_retention_days=2) as client:
        await post(client, timestamp=ago(days=1, hours=23))
        refused = await client.post("/telemetry", json=reading(timestamp=ago(days=3)))
        assert refused.status_code == 422
        assert "TELEMETRY_RETENTION_DAYS" in refused.json()["detail"]


def test_thresholds_that_do_not_grow_stop_the_start() -> None:
    wrong = Settings(_env_file=None, telemetry_medium_seconds=6.0)
    with pytest.raises(UnsafeSettings, match="TELEMETRY_MEDIUM_SECONDS"):
        wrong.checked()
