"""Status, `is_completed` and `completed_at` are one thing, whatever comes after whatever."""

import random
from typing import Any

import pytest

from tests.conftest import SignIn
from tests.features.projects.factories import Person, enter
from tests.features.tasks.factories import TASKS, add

pytestmark = pytest.mark.anyio

STATUSES = ("pending", "in_progress", "completed", "cancelled")
STEPS = 40


async def patch(person: Person, task_id: int, **body: Any) -> dict[str, Any]:
    answer = await person.client.patch(f"{TASKS}/{task_id}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_either_of_the_two_sets_the_other(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    task_id = await add(ada)
    done = await patch(ada, task_id, is_completed=True)
    assert (done["status"], done["completed_at"] is None) == ("completed", False)
    again = await patch(ada, task_id, status="completed", title="x")
    assert again["completed_at"] == done["completed_at"]
    reopened = await patch(ada, task_id, is_completed=False)
    assert (reopened["status"], reopened["completed_at"]) == ("pending", None)
    by_status = await patch(ada, task_id, status="completed")
    assert (by_status["is_completed"], by_status["completed_at"] is None) == (True, False)
    cancelled = await patch(ada, task_id, status="cancelled")
    assert (cancelled["is_completed"], cancelled["completed_at"]) == (False, None)


async def test_what_is_not_completed_stays_as_it_is_when_one_says_so(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    task_id = await add(ada, status="in_progress", is_completed=False)
    assert (await patch(ada, task_id, is_completed=False))["status"] == "in_progress"


@pytest.mark.parametrize("status", STATUSES)
async def test_a_body_that_contradicts_itself_is_refused(sign_in: SignIn, status: str) -> None:
    ada = await enter(sign_in)
    contradiction = {"status": status, "is_completed": status != "completed"}
    url = f"{TASKS}/{await add(ada)}"
    made = await ada.client.post(TASKS, json={"title": "x", **contradiction})
    changed = await ada.client.patch(url, json=contradiction)
    assert (made.status_code, changed.status_code) == (422, 422)


def expected(status: str, body: dict[str, Any]) -> str:
    """The rule in its own words, to compare with."""
    if "status" in body:
        return str(body["status"])
    if body.get("is_completed") is True:
        return "completed"
    if body.get("is_completed") is False and status == "completed":
        return "pending"
    return status


def some_body(chance: random.Random) -> dict[str, Any]:
    status = chance.choice(STATUSES)
    bodies: list[dict[str, Any]] = [
        {"status": status},
        {"is_completed": chance.random() < 0.5},
        {"status": status, "is_completed": status == "completed"},
        {"priority": chance.choice(("low", "high"))},
        {},
    ]
    return chance.choice(bodies)


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_changes_keeps_a_task_consistent(sign_in: SignIn, seed: int) -> None:
    chance, ada = random.Random(seed), await enter(sign_in)
    first = some_body(chance)
    task_id, status = await add(ada, **first), expected("pending", first)
    before = (await ada.client.get(f"{TASKS}/{task_id}")).json()
    for _ in range(STEPS):
        body = some_body(chance)
        status = expected(status, body)
        after = await patch(ada, task_id, **body)
        assert (after["status"], after["is_completed"]) == (status, status == "completed")
        assert (after["completed_at"] is not None) is after["is_completed"]
        if before["is_completed"] and after["is_completed"]:
            assert after["completed_at"] == before["completed_at"]
        assert (await ada.client.get(f"{TASKS}/{task_id}")).json() == after
        before = after
