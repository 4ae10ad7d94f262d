"""Those who watch hear what they may, at once and only after it was committed."""

import asyncio
import json
from contextlib import suppress
from datetime import datetime

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from astralytiq.core.broadcast import Backlog, Message
from astralytiq.core.security import Role
from astralytiq.features.accounts import credentials, keys, service, sessions, tickets
from astralytiq.features.dashboards import pulse
from astralytiq.features.dashboards.pulse import pulse_of
from astralytiq.features.dashboards.router import watching as door
from tests.factories import make_client
from tests.patience import PATIENCE, until

from .conftest import Live, bearer, heard

pytestmark = pytest.mark.anyio


async def ended(watcher: ClientConnection) -> int:
    """Reads to the end; the code of the close."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await watcher.recv()
    assert watcher.close_code is not None
    return watcher.close_code


async def refusal(live: Live, query: str = "", headers: dict[str, str] | None = None) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with live.open(query, headers):
            raise AssertionError("this handshake must fail")
    answer = refused.value.response
    assert json.loads(answer.body or b"{}")["detail"]
    return answer.status_code


# Coming in --------------------------------------------------------------------------------------


async def test_16_a_sign_in_by_header_cookie_message_key_and_ticket(live: Live) -> None:
    user, token = await live.person()
    actor = service.actor_for(user, "bearer")
    _, key = await live.resources.database.write(
        lambda s: keys.create(s, actor, name="screen", scopes=["data:read"], expires_at=None)
    )
    for headers in (
        bearer(token),
        bearer(key),
        {"X-API-Key": key},
        {"Cookie": f"access_token={token}"},
        {"Cookie": f"auth_token={token}", "Origin": f"http://{live.address}"},
    ):
        async with live.open(headers=headers) as watcher:
            assert (await heard(watcher))["type"] == "snapshot"
    async with live.open("/", headers=bearer(token)) as watcher:  # a slash more, as anywhere
        assert (await heard(watcher))["type"] == "snapshot"
    for credential in (token, key):
        async with live.open() as watcher:
            await watcher.send(json.dumps({"type": "auth", "token": credential}))
            assert (await heard(watcher))["type"] == "snapshot"
    for name in ("token", "ticket"):
        ticket = await live.resources.database.write(lambda s: tickets.issue(s, actor, None))
        async with live.open(f"?{name}={ticket}") as watcher:
            assert (await heard(watcher))["type"] == "snapshot"
        assert await refusal(live, f"?{name}={ticket}") == 401, "a ticket is used once"


async def test_16_nobody_hears_anything(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for first in (
        "hello",
        "[]",
        '{"type": "ping"}',
        '{"type": "auth"}',
        '{"type":"auth","token":"x"}',
    ):
        async with live.open() as watcher:
            await watcher.send(first)
            assert (await heard(watcher))["type"] == "error"
            assert await ended(watcher) == door.POLICY
    assert await refusal(live, headers=bearer("a.b.c")) == 401
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.1)
    async with live.open() as watcher:
        assert (await heard(watcher))["type"] == "error"
        assert await ended(watcher) == door.POLICY


async def test_16_a_foreign_page_is_refused_whatever_it_sends(live: Live) -> None:
    _, token = await live.person()
    foreign = {"Origin": "https://elsewhere.example"}
    assert await refusal(live, headers=foreign) == 403
    assert await refusal(live, headers=foreign | {"Cookie": f"access_token={token}"}) == 403


async def test_16_an_access_token_in_the_address_only_where_it_is_allowed(live: Live) -> None:
    _, token = await live.person()
    assert await refusal(live, f"?token={token}") == 401
    object.__setattr__(live.resources.settings, "allow_ws_query_token", True)
    async with live.open(f"?token={token}") as watcher:
        assert (await heard(watcher))["type"] == "snapshot"


async def test_more_than_can_be_carried_are_refused(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = await live.person()
    monkeypatch.setattr(pulse.Pulse, "MOST", 1)
    async with live.open(headers=bearer(token)) as watcher:
        await heard(watcher)
        assert await refusal(live, headers=bearer(token)) == 429


# Hearing ----------------------------------------------------------------------------------------


async def test_metrics_come_again_and_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SECONDS", 0.05)
    _, token = await live.person()
    async with live.open(headers=bearer(token)) as watcher:
        first, second = await heard(watcher, "metrics"), await heard(watcher, "metrics")
    assert datetime.fromisoformat(second["timestamp"]) > datetime.fromisoformat(first["timestamp"])
    assert first["active_connections"] == 1
    assert {"cpu_usage", "memory_usage", "api_response_time"} <= first.keys()
    await until(lambda: asyncio.sleep(0, not pulse_of(live.resources).listening))


async def test_a_job_is_told_to_its_owner_and_to_admins_alone(live: Live) -> None:
    owner, token = await live.person(Role.data_scientist)
    _, other = await live.person(Role.data_scientist)
    _, admin = await live.person(Role.admin)
    job = {"job_id": "1", "kind": "training.run", "status": "running", "owner_id": owner.id}
    async with (
        live.open(headers=bearer(token)) as mine,
        live.open(headers=bearer(other)) as theirs,
        live.open(headers=bearer(admin)) as all_of_them,
    ):
        for watcher in (mine, theirs, all_of_them):
            await heard(watcher, "snapshot")
        await live.say("job/1", job)
        await live.say("run/meters", {"run_id": "2", "source": "meters", "status": "success"})
        assert (await heard(mine))["data"] == job
        assert (await heard(all_of_them))["data"] == job
        run = await heard(theirs)
    assert run["type"] == "run"
    assert run["data"]["source"] == "meters"
    assert run["sequence"] > 0


async def test_a_key_hears_what_its_scopes_allow(live: Live) -> None:
    user, _ = await live.person(Role.admin)
    actor = service.actor_for(user, "bearer")
    _, key = await live.resources.database.write(
        lambda s: keys.create(s, actor, name="screen", scopes=["runs:read"], expires_at=None)
    )
    async with live.open("?topics=runs", headers=bearer(key)) as watcher:
        assert (await heard(watcher))["topics"] == ["runs"]
        await live.say("job/1", {"job_id": "1", "owner_id": user.id})
        await live.say("telemetry", {"events": 1})
        await live.say("run/meters", {"source": "meters"})
        assert (await heard(watcher))["type"] == "run"
        await watcher.send('{"type": "subscribe", "topics": ["jobs"]}')
        assert "jobs" in (await heard(watcher))["detail"]


async def test_events_of_devices_are_told_as_they_are_stored(live: Live, app: FastAPI) -> None:
    _, token = await live.person(Role.data_scientist)
    async with live.open("?topics=events", headers=bearer(token)) as watcher:
        assert (await heard(watcher))["events"] == []
        event = {"ear_value": 0.2, "is_drowsy": True, "duration_ms": 3000, "device_id": "cab-7"}
        async with make_client(app, token) as device:
            assert (await device.post("/telemetry", json=event)).status_code == 200
        told = await heard(watcher, "event")
    assert (told["data"]["events"], told["data"]["drowsy"]) == (1, 1)
    assert told["data"]["latest"][0]["device_id"] == "cab-7"
    async with live.open("?topics=events", headers=bearer(token)) as watcher:
        assert (await heard(watcher))["events"][0]["device_id"] == "cab-7"


async def test_topics_are_chosen_and_dropped(live: Live) -> None:
    _, token = await live.person(Role.admin)
    async with live.open("?topics=jobs,runs", headers=bearer(token)) as watcher:
        assert (await heard(watcher))["topics"] == ["jobs", "runs"]
        await watcher.send('{"type": "unsubscribe", "topics": ["jobs"]}')
        assert (await heard(watcher))["topics"] == ["runs"]
        await live.say("job/1", {"job_id": "1"})
        await live.say("run/meters", {"source": "meters"})
        assert (await heard(watcher))["type"] == "run"
        await watcher.send('{"type": "subscribe", "topics": ["jobs"]}')
        assert (await heard(watcher))["topics"] == ["jobs"]
        await live.say("job/1", {"job_id": "2"})
        assert (await heard(watcher))["data"] == {"job_id": "2"}
    assert await closed_at_once(live, token, "?topics=weather") == door.POLICY


async def closed_at_once(live: Live, token: str, query: str) -> int:
    async with live.open(query, headers=bearer(token)) as watcher:
        return await ended(watcher)


async def test_what_is_no_message_gets_an_error_and_no_close(live: Live) -> None:
    _, token = await live.person()
    async with live.open(headers=bearer(token)) as watcher:
        await heard(watcher, "snapshot")
        for sent in ("hello", "7", "[" * 5000, '{"type": "dance"}', '{"type": "subscribe"}'):
            await watcher.send(sent)
            assert (await heard(watcher))["type"] == "error"
        await watcher.send('{"type": "ping"}')
        assert (await heard(watcher))["type"] == "pong"


async def test_who_comes_back_hears_what_they_missed(live: Live) -> None:
    _, token = await live.person(Role.admin)
    await live.say("run/a", {"number": 1})
    async with live.open(headers=bearer(token)) as watcher:
        await heard(watcher, "snapshot")
        await live.say("run/a", {"number": 2})
        while (message := await heard(watcher))["data"]["number"] == 1:
            """It is in the snapshot, and may be handed on a moment later nevertheless."""
        last = message["sequence"]
    await live.say("run/a", {"number": 3})
    await live.say("run/b", {"number": 4})
    async with live.open(f"?last_sequence={last}", headers=bearer(token)) as watcher:
        assert (await heard(watcher))["resumed"]
        assert [(await heard(watcher))["data"]["number"] for _ in range(2)] == [3, 4]
        await live.say("run/a", {"number": 5})
        assert (await heard(watcher))["data"]["number"] == 5
    async with live.open("?last_sequence=999999", headers=bearer(token)) as watcher:
        snapshot = await heard(watcher)
        assert not snapshot["resumed"]
        assert snapshot["runs"] == []
    assert await closed_at_once(live, token, "?last_sequence=yesterday") == door.POLICY


async def test_who_does_not_read_keeps_nobody_waiting(live: Live) -> None:
    _, token = await live.person(Role.admin)
    words = {"words": "x" * 60_000}
    async with (
        live.open(headers=bearer(token)) as sleeper,
        live.open(headers=bearer(token)) as watcher,
    ):
        sleeper.transport.pause_reading()
        await heard(watcher, "snapshot")
        for number in range(130):
            await live.say("run/meters", {"number": number, **words})
            assert (await heard(watcher))["data"]["number"] == number
        assert max(b.qsize() for b in pulse_of(live.resources).listening) <= 100
        sleeper.transport.abort()


def test_of_a_full_backlog_the_newest_of_a_topic_stays() -> None:
    backlog = Backlog(3)
    for number, topic in enumerate(("job/1", "run/a", "job/2", "run/a", "run/b")):
        backlog.take_in(Message(number, topic, {}))
    told = [(m.topic, m.sequence) for m in (backlog.get_nowait() for _ in range(3))]
    assert told == [("job/2", 2), ("run/a", 3), ("run/b", 4)]
    assert backlog.lost == 2


# Going ------------------------------------------------------------------------------------------


async def test_10_a_revoked_sign_in_ends_the_socket_and_no_other(live: Live) -> None:
    user, token = await live.person(Role.analyst)
    _, other = await live.person()
    async with (
        live.open(headers=bearer(token)) as watcher,
        live.open(headers=bearer(other)) as stays,
    ):
        await heard(watcher, "snapshot")
        await heard(stays, "snapshot")
        await live.resources.database.write(lambda session: revoked_without_cause(session, user.id))
        await live.say("run/a", {"number": 1})
        assert (await heard(watcher))["type"] == "run", "what was not ended goes on"
        await live.resources.database.write(lambda s: sessions.end_all(s, user.id))
        assert (await heard(watcher))["type"] == "error"
        assert await ended(watcher) == door.POLICY
        await live.say("run/a", {"number": 2})
        assert (await heard(stays))["data"] == {"number": 1}


async def revoked_without_cause(session: AsyncSession, user_id: int) -> None:
    credentials.revoke(session, user_id)


async def test_a_server_that_stops_says_so(live: Live) -> None:
    _, token = await live.person()
    async with live.open(headers=bearer(token)) as watcher:
        await heard(watcher, "snapshot")
        live.server.should_exit = True
        assert await ended(watcher) == 1012
