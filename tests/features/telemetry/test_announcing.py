"""Who listens hears of events that were committed, and of nothing else."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from astralytiq.app import create_app
from astralytiq.core.broadcast import Broadcast, OutboxMessage
from astralytiq.core.db import Database
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.factories import signed_in
from tests.features.telemetry.factories import get, post, post_many, reading
from tests.patience import soon

pytestmark = pytest.mark.anyio


async def test_listeners_are_told_once_of_what_was_committed(
    app: FastAPI, admin: httpx2.AsyncClient
) -> None:
    live: Broadcast = app.state.broadcast
    async with live.listen("telemetry") as queue:
        events = [reading(event_id=f"e{n}", is_drowsy=n % 2 == 0) for n in range(50)]
        await post_many(admin, events)
        await post_many(admin, events)  # Repeated: nothing new.
        await post(admin, event_id="last")
        told = [(await soon(queue.get())).payload]
        while sum(message["events"] for message in told) < 51:
            told.append((await soon(queue.get())).payload)
        assert sum(message["events"] for message in told) == 51
        assert sum(message["drowsy"] for message in told) == 25
        assert len(told) < 4
        assert told[-1]["latest"][0]["event_id"] == "last"
        assert all(len(message["latest"]) <= 20 for message in told)
        assert set(told[0]["latest"][0]) == set((await get(admin, "/events/recent"))["events"][0])


async def test_what_is_stored_when_the_house_closes_is_told_as_well(
    settings: Settings, database: Database
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app), await signed_in(app, Role.admin) as client:
        await post(client)
    async with database.reading() as session:
        query = select(OutboxMessage.payload).where(OutboxMessage.topic == "telemetry")
        (payload,) = await session.scalars(query)
    assert payload["events"] == 1
