"""What becomes of jobs when a person goes."""

from typing import Any

import pytest

from astralytiq.core import jobs
from astralytiq.core.db import Database
from astralytiq.core.security import Role
from tests.conftest import SignIn
from tests.features.projects.factories import enter

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


async def test_jobs_of_others_forget_an_erased_address(sign_in: SignIn, database: Database) -> None:
    admin, leaver = await enter(sign_in, Role.admin), await enter(sign_in)
    address = (await leaver.client.get(ME)).json()["email"]
    mail: dict[str, Any] = {"to": [{"address": address}], "text": "welcome"}
    async with database.transaction() as session:
        await jobs.enqueue(session, "tests.mail", owner_id=admin.id, **mail)
    assert (await leaver.client.delete(ME)).status_code == 204
    (told,) = (job["arguments"] for job in (await admin.client.get("/api/v1/jobs")).json())
    assert told == {"to": [{"address": f"erased:{leaver.id}"}], "text": "welcome"}
