"""Devices: known from their first event on, named by people, deleted with all that they sent."""

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import RunJobs, SignIn
from tests.features.telemetry.factories import API, counted, get, post, post_many, reading
from tests.features.telemetry.recount import refuse_wrong_sums

pytestmark = pytest.mark.anyio

DEVICES = f"{API}/devices"


async def test_a_device_is_known_from_its_first_event_on(admin: httpx2.AsyncClient) -> None:
    assert await get(admin, DEVICES) == []
    await post_many(admin, [reading(device_id="cab 7"), reading(device_id="cab 7"), reading()])
    first = await admin.get(DEVICES)
    assert first.headers["X-Total-Count"] == "2"
    known = {device["device_id"]: device for device in first.json()}
    assert {name: device["events"] for name, device in known.items()} == {"cab 7": 2, "unknown": 1}
    await post(admin, device_id="cab 7")
    (again,) = await get(admin, DEVICES, device_id="cab 7")
    assert again["events"] == 3
    assert again["first_seen_at"] == known["cab 7"]["first_seen_at"]
    assert again["last_seen_at"] > known["cab 7"]["last_seen_at"]


async def test_a_repeated_event_is_a_sight_of_the_device_and_no_event(
    admin: httpx2.AsyncClient,
) -> None:
    await post(admin, event_id="e")
    (before,) = await get(admin, DEVICES)
    await post(admin, event_id="e")
    (after,) = await get(admin, DEVICES)
    assert (after["events"], before["events"]) == (1, 1)
    assert after["last_seen_at"] > before["last_seen_at"]


async def test_a_device_is_named_and_its_events_do_not_change_its_version(
    admin: httpx2.AsyncClient,
) -> None:
    await post(admin)
    (device,) = await get(admin, DEVICES)
    url = f"{DEVICES}/{device['id']}"
    tag = (await admin.get(url)).headers["ETag"]
    await post(admin)
    named = await admin.patch(url, json={"name": "Ada's car"}, headers={"If-Match": tag})
    assert (named.status_code, named.json()["name"]) == (200, "Ada's car")
    stale = await admin.put(url, json={"name": "x"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    known = await admin.get(url, headers={"If-None-Match": named.headers["ETag"]})
    assert known.status_code == 304
    assert (await admin.patch(url, json={"name": "a\nb"})).status_code == 422
    assert (await admin.patch(url, json={"name": None})).json()["name"] is None


async def test_a_deleted_device_takes_all_along_that_it_sent(
    admin: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs
) -> None:
    await post_many(admin, [reading(device_id="d", event_id=f"{n}") for n in range(12)])
    await post(admin, device_id="other")
    (device,) = await get(admin, DEVICES, device_id="d")
    url = f"{DEVICES}/{device['id']}"
    gone = await admin.delete(url)
    assert gone.status_code == 202
    assert gone.headers["Location"].endswith(gone.json()["job_id"])
    assert (await admin.get(url)).status_code == 404
    assert await get(admin, DEVICES, device_id="d") == []
    recent = await get(admin, "/events/recent")
    assert [event["device_id"] for event in recent["events"]] == ["other"]
    await post(admin, device_id="d", event_id="0")  # Under its id a new one begins.
    await run_jobs()
    assert (await get(admin, f"{API}/jobs/{gone.json()['job_id']}"))["result"] == {"deleted": 12}
    assert (await get(admin, "/statistics"))["total_events"] == 2
    assert (await get(admin, "/statistics", device="d"))["total_events"] == 1
    await refuse_wrong_sums(resources.database)
    assert await counted(resources, "SELECT count(*) FROM telemetry_devices") == [(2,)]


async def test_a_device_that_is_not_there_is_not_found(admin: httpx2.AsyncClient) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = await admin.request(method, f"{DEVICES}/77", json={"name": "x"})
        assert answer.status_code == 404


async def test_only_admins_name_and_delete(sign_in: SignIn, admin: httpx2.AsyncClient) -> None:
    await post(admin)
    (device,) = await get(admin, DEVICES)
    scientist = await sign_in(Role.data_scientist)
    url = f"{DEVICES}/{device['id']}"
    assert (await scientist.get(url)).status_code == 200
    assert (await scientist.patch(url, json={"name": "mine"})).status_code == 403
    assert (await scientist.delete(url)).status_code == 403
    assert (await get(admin, url))["name"] is None
