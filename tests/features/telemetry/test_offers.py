"""What others are told of telemetry: figures by their names."""

import httpx2
import pytest

from astralytiq.core import offers
from astralytiq.core.resources import Resources
from tests.features.telemetry.factories import ago, post_many, reading

pytestmark = pytest.mark.anyio


async def measured(resources: Resources) -> dict[str, float | None]:
    names = [
        name
        for name, one in offers.FIGURES.items()
        if one.measure.__module__ == "astralytiq.features.telemetry.offers"
    ]
    async with resources.database.reading() as session:
        return {name: await offers.FIGURES[name].measure(session) for name in names}


async def test_figures_are_of_now(resources: Resources, admin: httpx2.AsyncClient) -> None:
    assert await measured(resources) == {
        "telemetry_events": 0,
        "telemetry_events_last_hour": 0,
        "drowsiness_rate": None,
        "devices": 0,
        "devices_active": 0,
    }
    await post_many(
        admin,
        [
            reading(device_id="a", is_drowsy=True, timestamp=ago(hours=30)),
            reading(device_id="b", is_drowsy=True, timestamp=ago(minutes=30)),
            reading(device_id="b", is_drowsy=True, ear_value=0.1),
            reading(device_id="c"),
            reading(device_id="c"),
            reading(device_id="c"),
        ],
    )
    assert await measured(resources) == {
        "telemetry_events": 6,
        "telemetry_events_last_hour": 5,
        "drowsiness_rate": 25,
        "devices": 3,
        "devices_active": 3,
    }
    async with resources.database.reading() as session:
        found = await offers.BREAKDOWNS["telemetry_severity"].read(session)
    assert found[("low",)] == 1
    assert sum(found.values()) == 6
