"""A job is told while it goes on, to those who may see it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import jobs, sse
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.jobs import following
from tests.conftest import SignIn

from .test_router import own_job

pytestmark = pytest.mark.anyio

JSON = {"Accept": "application/json"}


def messages(text: str) -> list[tuple[str, str | None, Any]]:
    """Of a stream: name, id and data of each event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
        if fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def told(resources: Resources, job_id: str) -> AsyncIterator[bytes]:
    return following.stream(resources.database, Broadcast(resources.database), job_id, 0)


async def test_a_job_that_ended_is_told_to_its_end_and_taken_up_again_after_any_line(
    resources: Resources, sign_in: SignIn
) -> None:
    owner = await sign_in(Role.data_scientist)
    job_id = await own_job(resources, owner)
    await owner.post(f"/api/v1/jobs/{job_id}/cancel")
    path = f"/api/v1/jobs/{job_id}/events"
    answer = await owner.get(path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    (line, number, log), (end, no_number, job) = messages(answer.text)
    assert (line, log["message"], number) == ("log", "Asked to stop.", str(log["id"]))
    assert (end, no_number, job["job_id"], job["status"]) == ("ended", None, job_id, "cancelled")
    resumed = await owner.get(path, headers={"Last-Event-ID": str(number)})
    assert [name for name, _, _ in messages(resumed.text)] == ["ended"]
    listed = await owner.get(path, headers=JSON)
    assert listed.json() == [log]
    assert (await owner.get(path, headers=JSON, params={"after": log["id"]})).json() == []


async def test_between_its_lines_a_job_tells_how_far_it_is(
    resources: Resources, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(sse, "BEAT_SECONDS", 0.002)
    job_id = await own_job(resources, await sign_in(Role.data_scientist))
    stream = told(resources, job_id)
    assert await anext(stream) == b": connected\n\n"
    ((name, number, job),) = messages((await anext(stream)).decode())
    assert (name, number, job["status"], job["progress"]) == ("progress", None, "queued", 0.0)
    assert await anext(stream) == sse.BEAT

    async def go_on(session: AsyncSession) -> None:
        found = await session.get_one(Job, job_id)
        found.status, found.progress, found.phase = JobStatus.running, 0.5, "fitting"

    await resources.database.write(go_on)
    parts = [part async for part in until(stream, "progress")]
    assert (parts[-1][2]["progress"], parts[-1][2]["phase"]) == (0.5, "fitting")
    await resources.database.write(lambda session: jobs.request_cancel(session, job_id))
    assert await anext(aiter(until(stream, "log")))


async def until(
    stream: AsyncIterator[bytes], name: str
) -> AsyncIterator[tuple[str, str | None, Any]]:
    async for block in stream:
        for message in messages(block.decode()):
            yield message
            if message[0] == name:
                return


async def test_18_a_job_is_followed_by_its_owner_and_admins_alone(
    resources: Resources, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    owner = await sign_in(Role.data_scientist)
    job_id = await own_job(resources, owner)
    path = f"/api/v1/jobs/{job_id}/events"
    assert (await client.get(path)).status_code == 401
    assert (await (await sign_in(Role.data_scientist)).get(path)).status_code == 404
    assert (await (await sign_in(Role.admin)).get(path, headers=JSON)).json() == []
    assert (await owner.get("/api/v1/jobs/absent/events")).status_code == 404


async def test_jobs_are_listed_by_their_kind(resources: Resources, sign_in: SignIn) -> None:
    owner = await sign_in(Role.data_scientist)
    job_id = await own_job(resources, owner)
    found = await owner.get("/api/v1/jobs", params={"kind": "tests.nothing"})
    assert [job["job_id"] for job in found.json()] == [job_id]
    other = await owner.get("/api/v1/jobs", params={"kind": "tests.other"})
    assert (other.json(), other.headers["x-total-count"]) == ([], "0")
