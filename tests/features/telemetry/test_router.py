"""Events come in by the door: whole, once, graded; and what must not come in stays out."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import SignIn
from tests.features.telemetry.factories import (
    API,
    ago,
    counted,
    get,
    key_client,
    post,
    post_many,
    reading,
)

pytestmark = pytest.mark.anyio


# One event --------------------------------------------------------------------------------------


async def test_an_event_is_graded_and_answered(admin: httpx2.AsyncClient) -> None:
    answer = await post(
        admin, ear_value=0.2, duration_ms=2500, event_id="e1", timestamp=ago(minutes=1)
    )
    assert set(answer) == {"status", "event_id", "timestamp", "severity"}
    assert (answer["status"], answer["event_id"], answer["severity"]) == ("logged", "e1", "medium")
    assert answer["timestamp"].endswith("Z")


async def test_both_addresses_take_and_tell_the_same(admin: httpx2.AsyncClient) -> None:
    await post(admin)
    again = await admin.post(f"{API}/telemetry", json=reading())
    assert again.status_code == 200
    for path in ("/statistics", "/events/recent", "/telemetry/perclos?device=unknown"):
        here, there = [await admin.get(prefix + path) for prefix in ("", API)]
        assert here.status_code == there.status_code == 200
    assert (await get(admin, f"{API}/statistics"))["total_events"] == 2
    assert (await get(admin, f"{API}/dashboard"))["overall"]["total_events"] == 2


async def test_an_event_without_an_id_gets_one_in_the_order_of_time(
    admin: httpx2.AsyncClient,
) -> None:
    first, second = [(await post(admin))["event_id"] for _ in range(2)]
    assert first < second
    assert len(first) == 36
    assert first[14] == "7"


async def test_a_repeated_event_is_stored_once_and_answered_as_at_first(
    admin: httpx2.AsyncClient,
) -> None:
    first = await post(admin, event_id="e1", device_id="d1", ear_value=0.1, duration_ms=12_000)
    again = await post(admin, event_id="e1", device_id="d1", ear_value=0.1, duration_ms=12_000)
    assert again == first
    await post(admin, event_id="e1", device_id="d2")  # Another device's own.
    assert (await get(admin, "/statistics"))["total_events"] == 2


async def test_requests_at_once_each_get_the_answer_to_their_own(
    admin: httpx2.AsyncClient,
) -> None:
    ears = [n / 40 for n in range(40)]
    answers = await asyncio.gather(
        *(post(admin, ear_value=ear, event_id=f"{ear}") for ear in ears),
        *(post(admin, ear_value=0.3, event_id="the same") for _ in range(20)),
    )
    for ear, answer in zip(ears, answers, strict=False):
        assert answer["event_id"] == f"{ear}"
        assert answer["severity"] == ("none" if ear > 0.25 else "low")
    assert len({answer["timestamp"] for answer in answers[40:]}) == 1
    assert (await get(admin, "/statistics"))["total_events"] == 41


async def test_a_time_without_a_zone_is_utc_and_others_are_turned_into_it(
    admin: httpx2.AsyncClient,
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    naive = now.replace(tzinfo=None).isoformat()
    expected = f"{naive}Z"
    for given in (naive, expected, f"{naive}+00:00"):
        assert (await post(admin, timestamp=given))["timestamp"] == expected
    east = await post(admin, timestamp=f"{naive}+05:30")
    there = datetime.fromisoformat(f"{naive}+05:30")
    assert datetime.fromisoformat(east["timestamp"]) == there


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ear_value": 1.01}, "ear_value"),
        ({"ear_value": -0.1}, "ear_value"),
        ({"ear_value": "0.3"}, "ear_value"),
        ({"is_drowsy": 1}, "is_drowsy"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"duration_ms": 86_400_001}, "duration_ms"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2001-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"device_id": ""}, "device_id"),
        ({"device_id": "a\nb"}, "device_id"),
        ({"event_id": "a\u0000"}, "event_id"),
        ({"session_id": " a"}, "session_id"),
        ({"event_id": "x" * 201}, "event_id"),
        ({"speed": 3}, "speed"),
    ],
)
async def test_what_is_wrong_with_an_event_is_named(
    admin: httpx2.AsyncClient, change: dict[str, Any], field: str
) -> None:
    refused = await admin.post("/telemetry", json=reading(**change))
    assert refused.status_code == 422
    (fault,) = refused.json()["errors"]
    assert fault["loc"] == ["body", field]
    assert (await get(admin, "/statistics"))["total_events"] == 0


async def test_all_faults_of_an_event_are_told_at_once(admin: httpx2.AsyncClient) -> None:
    refused = await admin.post("/telemetry", json={"ear_value": 2, "is_drowsy": None})
    found = {fault["loc"][-1] for fault in refused.json()["errors"]}
    assert found == {"ear_value", "is_drowsy", "duration_ms"}


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"ear_value": NaN}', "\xff"])
async def test_what_is_no_event_is_refused_in_words(admin: httpx2.AsyncClient, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/telemetry", "/telemetry/batch"):
        refused = await admin.post(path, content=body.encode("latin-1"), headers=headers)
        assert refused.status_code == 422, (path, refused.text)
        assert refused.json()["errors"]


async def test_another_media_type_is_refused(admin: httpx2.AsyncClient) -> None:
    for path in ("/telemetry", "/telemetry/batch"):
        headers = {"Content-Type": "text/csv"}
        refused = await admin.post(path, content="a,b", headers=headers)
        assert refused.status_code == 415


# Batches ----------------------------------------------------------------------------------------


async def test_a_batch_is_logged_with_what_was_there_already(admin: httpx2.AsyncClient) -> None:
    events = [reading(event_id=f"e{n}", device_id=f"d{n % 3}") for n in range(500)]
    first = await post_many(admin, events)
    assert (first["status"], first["events_logged"]) == ("success", 500)
    again = await post_many(admin, [*events[250:], reading(event_id="new")])
    assert again["events_logged"] == 251
    assert (await get(admin, "/statistics"))["total_events"] == 501


async def test_the_same_event_twice_in_a_batch_is_one(admin: httpx2.AsyncClient) -> None:
    assert (await post_many(admin, [reading(event_id="e")] * 3))["events_logged"] == 3
    assert (await get(admin, "/statistics"))["total_events"] == 1


async def test_lines_are_a_batch_as_well(admin: httpx2.AsyncClient) -> None:
    lines = "\n".join(json.dumps(reading(event_id=f"e{n}")) for n in range(3)) + "\n\n"
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await admin.post("/telemetry/batch", content=lines, headers=headers)
    assert (answer.status_code, answer.json()["events_logged"]) == (200, 3)
    refused = await admin.post("/telemetry/batch", content=lines + "{}", headers=headers)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "events", 3, "ear_value"]


async def test_of_a_batch_with_faults_nothing_is_stored_and_each_is_told_with_its_place(
    admin: httpx2.AsyncClient,
) -> None:
    events = [reading() for _ in range(300)]
    events[7]["ear_value"] = 3
    events[299] = {"is_drowsy": True}
    refused = await admin.post("/telemetry/batch", json={"events": events})
    assert refused.status_code == 422
    places = [fault["loc"] for fault in refused.json()["errors"]]
    assert places == [
        ["body", "events", 7, "ear_value"],
        ["body", "events", 299, "ear_value"],
        ["body", "events", 299, "duration_ms"],
    ]
    assert (await get(admin, "/statistics"))["total_events"] == 0


async def test_no_more_faults_are_told_than_can_be_read(admin: httpx2.AsyncClient) -> None:
    wrong: list[list[Any]] = [
        [{}] * 5000,
        [reading(timestamp="2001-01-01T00:00:00Z")] * 5000,
    ]
    for events in wrong:
        refused = await admin.post("/telemetry/batch", json={"events": events})
        assert refused.status_code == 422
        assert len(refused.json()["errors"]) == 100


async def test_a_batch_has_one_to_ten_thousand_events(admin: httpx2.AsyncClient) -> None:
    none = await admin.post("/telemetry/batch", json={"events": []})
    assert none.status_code == 422
    many = await admin.post("/telemetry/batch", json={"events": [reading()] * 10_001})
    assert many.status_code == 422
    assert many.json()["errors"][0]["loc"] == ["body", "events"]
    assert (await post_many(admin, [reading()] * 10_000))["events_logged"] == 10_000
    assert (await get(admin, "/statistics"))["total_events"] == 10_000


# What is known of it ----------------------------------------------------------------------------


async def test_statistics_have_the_shape_that_clients_know(admin: httpx2.AsyncClient) -> None:
    empty = await get(admin, "/statistics")
    assert empty == {
        "total_events": 0,
        "drowsy_events": 0,
        "average_ear": 0,
        "average_duration_ms": 0,
        "drowsiness_rate": 0,
        "severity_distribution": {"none": 0, "low": 0, "medium": 0, "high": 0, "critical": 0},
    }
    await post_many(
        admin,
        [
            reading(),
            reading(ear_value=0.1, duration_ms=100, is_drowsy=True),
            reading(ear_value=0.1, duration_ms=6000, is_drowsy=True, device_id="d1"),
            reading(ear_value=0.09, duration_ms=20_000.5, is_drowsy=True, device_id="d1"),
        ],
    )
    found = await get(admin, "/statistics")
    assert found == {
        "total_events": 4,
        "drowsy_events": 3,
        "average_ear": 0.15,
        "average_duration_ms": 6575.125,
        "drowsiness_rate": 75,
        "severity_distribution": {"none": 1, "low": 1, "medium": 0, "high": 1, "critical": 1},
    }
    of_one = await get(admin, "/statistics", device="d1")
    assert (of_one["total_events"], of_one["average_ear"]) == (2, 0.095)
    assert (await get(admin, "/statistics", device="nobody"))["total_events"] == 0


async def test_statistics_of_a_time_are_exact_at_its_ends(admin: httpx2.AsyncClient) -> None:
    day = datetime.now(UTC).date().isoformat()
    times = [f"{day}T00:{m:02}:{s:02}Z" for m in range(0, 60, 7) for s in (0, 20, 59)]
    times += [f"{day}T{h:02}:30:00.5Z" for h in range(1, 24)]
    kept = [time for time in times if datetime.fromisoformat(time) <= datetime.now(UTC)]
    await post_many(admin, [reading(timestamp=time) for time in kept])
    for since, until in (
        (f"{day}T00:00:20Z", f"{day}T00:00:59Z"),
        (f"{day}T00:07:20Z", f"{day}T00:07:20.000001Z"),
        (f"{day}T00:00:00Z", f"{day}T01:00:00Z"),
        (f"{day}T00:07:10Z", f"{day}T00:49:00Z"),
        (f"{day}T00:35:10Z", f"{day}T22:30:00.5Z"),
        (f"{day}T00:35:10Z", f"{day}T00:35:10Z"),
        (f"{day}T02:00:00Z", f"{day}T01:00:00Z"),
    ):
        found = await get(admin, "/statistics", since=since, until=until)
        low, high = datetime.fromisoformat(since), datetime.fromisoformat(until)
        expected = sum(low <= datetime.fromisoformat(time) < high for time in kept)
        assert found["total_events"] == expected, (since, until)


async def test_the_dashboard_tells_of_the_last_hour_and_of_24(admin: httpx2.AsyncClient) -> None:
    idle = await get(admin, "/dashboard")
    assert idle["status"] == "idle"
    assert len(idle["hourly"]) == 24
    await post_many(admin, [reading(timestamp=ago(hours=3)), reading(timestamp=ago(days=2))])
    assert (await get(admin, "/dashboard"))["status"] == "idle"
    await post_many(admin, [reading(timestamp=ago(minutes=59)) for _ in range(3)])
    assert (await get(admin, "/dashboard"))["status"] == "normal"
    await post_many(admin, [reading(is_drowsy=True) for _ in range(2)])
    warned = await get(admin, "/dashboard")
    assert warned["status"] == "warning"
    assert warned["last_hour"] == {
        "period": "last_hour",
        "events_count": 5,
        "drowsy_count": 2,
        "average_ear": 0.31,
        "alert_rate": 40,
    }
    assert sum(hour["events_count"] for hour in warned["hourly"]) == 6
    assert warned["overall"]["total_events"] == 7
    await post_many(admin, [reading(is_drowsy=True) for _ in range(2)])
    assert (await get(admin, "/dashboard"))["status"] == "critical"


async def test_recent_events_are_the_newest_to_arrive_until_they_are_cleared(
    admin: httpx2.AsyncClient,
) -> None:
    for number in range(3):
        await post(admin, event_id=f"e{number}", timestamp=ago(minutes=number), device_id="d")
    found = await get(admin, "/events/recent", limit=2)
    assert [event["event_id"] for event in found["events"]] == ["e2", "e1"]
    assert found["count"] == 2
    first = found["events"][0]
    assert (first["device_id"], first["ear_value"], first["duration_ms"]) == ("d", 0.31, 200)
    cleared = (await admin.delete("/events/cache")).json()
    assert (cleared["status"], cleared["events_cleared"]) == ("cleared", 3)
    assert (await get(admin, "/events/recent"))["events"] == []
    await post(admin, event_id="e3")
    assert [e["event_id"] for e in (await get(admin, "/events/recent"))["events"]] == ["e3"]
    assert (await admin.delete(f"{API}/events/cache")).json()["events_cleared"] == 1
    assert (await admin.delete("/events/cache")).json()["events_cleared"] == 0
    assert (await get(admin, "/statistics"))["total_events"] == 4


async def test_perclos_is_told_of_minutes_that_were_seen(admin: httpx2.AsyncClient) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0).isoformat()
    seen = [reading(duration_ms=1000, timestamp=minute, device_id="d") for _ in range(40)]
    closed = [dict(one, ear_value=0.1) for one in seen[:10]]
    await post_many(admin, seen)
    (little,) = await get(admin, "/telemetry/perclos", device="d")
    assert (little["covered_ms"], little["perclos"]) == (40_000, None)
    await post_many(admin, closed)
    (found,) = await get(admin, "/telemetry/perclos", device="d")
    assert (found["events"], found["closed_ms"], found["perclos"]) == (50, 10_000, 0.2)
    assert await get(admin, "/telemetry/perclos", device="other") == []
    params = {"device": "d", "since": ago(days=2)}
    refused = await admin.get("/telemetry/perclos", params=params)
    assert refused.status_code == 422


# Who may ----------------------------------------------------------------------------------------


async def test_a_device_with_the_scope_to_send_does_nothing_else(app: FastAPI) -> None:
    async with await key_client(app, "telemetry:write") as device:
        await post(device)
        for path in ("/statistics", "/dashboard", "/events/recent", f"{API}/devices"):
            assert (await device.get(path)).status_code == 403
        assert (await device.delete("/events/cache")).status_code == 403
        assert (await device.delete(f"{API}/devices/1")).status_code == 403


async def test_who_may_not_send_is_told_before_the_body_is_read(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    async with await key_client(app, "telemetry:read") as reader:
        for path in ("/telemetry", "/telemetry/batch"):
            assert (await reader.post(path, content=b"no JSON")).status_code == 403
            assert (await client.post(path, json=reading())).status_code == 401
            analyst = await sign_in(Role.analyst)
            assert (await analyst.post(path, json=reading())).status_code == 403
    assert await counted(resources, "SELECT count(*) FROM telemetry_events") == [(0,)]


async def test_whoever_reads_the_workspace_reads_telemetry_and_clears_nothing(
    sign_in: SignIn, admin: httpx2.AsyncClient
) -> None:
    await post(admin)
    viewer, scientist = await sign_in(Role.viewer), await sign_in(Role.data_scientist)
    assert (await get(viewer, "/statistics"))["total_events"] == 1
    assert (await scientist.delete("/events/cache")).status_code == 403
    assert (await get(viewer, "/events/recent"))["count"] == 1
