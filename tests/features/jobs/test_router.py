"""What a caller meets at the job doors."""

import httpx2
import pytest

from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio


async def own_job(resources: Resources, client: httpx2.AsyncClient) -> str:
    owner_id = (await client.get("/api/v1/auth/me")).json()["id"]
    job = await resources.database.write(
        lambda session: jobs.enqueue(session, "tests.nothing", owner_id=owner_id, n=1)
    )
    assert job
    return job.id


async def test_a_job_is_seen_cancelled_and_tried_again_by_its_owner(
    resources: Resources, sign_in: SignIn
) -> None:
    owner = await sign_in(Role.data_scientist)
    job_id = await own_job(resources, owner)
    listed = await owner.get("/api/v1/jobs?status=queued")
    assert [job["job_id"] for job in listed.json()] == [job_id]
    assert listed.headers["x-total-count"] == "1"

    cancelled = await owner.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert cancelled.headers["location"] == f"/api/v1/jobs/{job_id}"
    again = await owner.post(f"/api/v1/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    found = (await owner.get(f"/api/v1/jobs/{job_id}")).json()
    assert (found["kind"], found["progress"], found["attempts"]) == ("tests.nothing", 0.0, 0)
    assert [line["message"] for line in found["logs"]] == ["Asked to stop.", "Asked to try again."]


async def test_somebody_elses_job_is_not_found_except_by_an_admin(
    resources: Resources, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    job_id = await own_job(resources, await sign_in(Role.data_scientist))
    stranger, admin = await sign_in(Role.data_scientist), await sign_in(Role.admin)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        url = f"/api/v1/jobs/{job_id}{path}"
        assert (await stranger.request(method, url)).status_code == 404
        assert (await client.request(method, url)).status_code == 401
    assert (await stranger.get("/api/v1/jobs")).json() == []
    assert (await admin.get(f"/api/v1/jobs/{job_id}")).status_code == 200


async def test_a_viewer_may_look_and_not_touch(resources: Resources, sign_in: SignIn) -> None:
    viewer = await sign_in(Role.viewer)
    job_id = await own_job(resources, viewer)
    assert (await viewer.get(f"/api/v1/jobs/{job_id}")).status_code == 200
    assert (await viewer.post(f"/api/v1/jobs/{job_id}/cancel")).status_code == 403
