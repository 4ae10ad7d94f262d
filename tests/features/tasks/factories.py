"""Makes what tests of tasks start from."""

from typing import Any

from tests.features.projects.factories import Person

TASKS = "/api/v1/tasks"


async def add(owner: Person, title: str = "label the readings", **fields: Any) -> int:
    made = await owner.client.post(f"{TASKS}/", json={"title": title, **fields})
    assert made.status_code == 200, made.text
    return int(made.json()["id"])


async def titles(person: Person, **params: Any) -> list[str]:
    """Of the tasks that `person` sees, newest first."""
    answer = await person.client.get(f"{TASKS}/", params=params)
    assert answer.status_code == 200, answer.text
    found = [task["title"] for task in answer.json()]
    assert answer.headers["x-total-count"] == str(len(found))
    return found
