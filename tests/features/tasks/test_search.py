"""A task with several words of one beginning is one task, in the list and in the count."""

import pytest

from tests.conftest import SignIn
from tests.features.projects.factories import enter, start
from tests.features.tasks.factories import TASKS, add, titles

pytestmark = pytest.mark.anyio

MANY = "Repair the report, then repeat the repairs"


async def test_a_task_with_many_words_of_a_beginning_is_found_once(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    await add(ada, MANY, project_id=project_id, priority="high", assignee_id=ben.id)
    await add(ada, "Réserver, réparer", status="in_progress")
    await add(ben, "repaint, then reply", assignee_id=ada.id)
    assert await titles(ada, q="r") == ["repaint, then reply", "Réserver, réparer", MANY]
    assert await titles(ada, q="rep") == ["repaint, then reply", MANY]
    assert await titles(ada, q="repa") == ["repaint, then reply", MANY]
    assert await titles(ada, q="repai") == ["repaint, then reply", MANY]
    assert await titles(ada, q="the") == ["repaint, then reply", MANY]
    assert await titles(ada, q="re the") == ["repaint, then reply", MANY]
    assert await titles(ada, q="RÉ") == ["Réserver, réparer"]
    assert await titles(ada, q="r", status="in_progress") == ["Réserver, réparer"]
    assert await titles(ada, q="rep", project=project_id) == [MANY]
    assert await titles(ada, q="rep", priority="high", assignee=ben.id) == [MANY]
    assert await titles(ben, q="r") == ["repaint, then reply", MANY]


async def test_pages_of_such_tasks_follow_each_other(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    made = [await add(ada, f"repair, report {number}") for number in range(5)]
    shown = []
    for offset in (0, 2, 4, 6):
        answer = await ada.client.get(TASKS, params={"q": "rep", "limit": 2, "offset": offset})
        assert answer.headers["x-total-count"] == "5"
        shown += [task["id"] for task in answer.json()]
    assert shown == made[::-1]


async def test_a_task_is_found_once_after_its_words_changed(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    url = f"{TASKS}/{await add(ada, MANY)}"
    title = "reuse, then repeat"
    await ada.client.patch(url, json={"title": title})
    assert [await titles(ada, q=q) for q in ("re", "rep", "repeat", "repo")] == [
        [title], [title], [title], [],
    ]  # fmt: skip
    await ada.client.patch(url, json={"tags": ["red"], "description": "a rest"})
    assert await titles(ada, q="re") == [title]
    await ada.client.patch(url, json={"status": "completed"})
    assert await titles(ada, q="re", status="completed") == [title]
