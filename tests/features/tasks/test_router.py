"""What a caller meets at the task doors."""

import json
from typing import Any

import httpx2
import pytest

from astralytiq.app import create_app
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.accounts.models import User
from tests.conftest import SignIn
from tests.factories import make_client
from tests.features.projects.factories import enter, share, start
from tests.features.tasks.factories import TASKS, add, titles

pytestmark = pytest.mark.anyio


async def test_a_task_as_existing_clients_know_it(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    made = await ada.client.post(f"{TASKS}/", json={"title": "Write tests"})
    body = made.json()
    assert made.status_code == 200
    assert (body["owner_id"], body["is_completed"]) == (ada.id, False)
    assert (body["status"], body["priority"], body["tags"]) == ("pending", "medium", [])
    assert (await ada.client.get(f"{TASKS}/")).json() == [body]
    read = await ada.client.get(f"{TASKS}/{body['id']}")
    assert (read.json(), read.headers["etag"]) == (body, made.headers["etag"])


async def test_a_task_keeps_what_it_was_given(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    body = {
        "title": "Call the plant",
        "description": "Meter 7 is silent.",
        "status": "in_progress",
        "priority": "urgent",
        "project_id": await start(ada),
        "assignee_id": ben.id,
        "tags": ["meters", "phone"],
    }
    sent = body | {"due_date": "2030-01-31T12:00:00+02:00", "tags": ["meters", "phone", "meters"]}
    made = (await ada.client.post(TASKS, json=sent)).json()
    assert {name: made[name] for name in body} == body
    assert made["due_date"] == "2030-01-31T10:00:00Z"
    assert made["completed_at"] is None


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_leaves_alone_what_it_does_not_name(sign_in: SignIn, method: str) -> None:
    ada = await enter(sign_in)
    url = f"{TASKS}/{await add(ada, due_date='2030-01-31', tags=['a'], priority='low')}"
    before = (await ada.client.get(url)).json()
    body = {"priority": "high", "due_date": None, "description": "soon"}
    changed = await ada.client.request(method, url, json=body)
    kept = {name: before[name] for name in before if name != "updated_at"}
    assert {name: changed.json()[name] for name in kept} == kept | body


async def test_a_stale_change_is_refused(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    url = f"{TASKS}/{await add(ada)}"
    seen = {"If-Match": (await ada.client.get(url)).headers["etag"]}
    first = await ada.client.patch(url, json={"priority": "low"}, headers=seen)
    second = await ada.client.patch(url, json={"priority": "high"}, headers=seen)
    gone = await ada.client.delete(url, headers=seen)
    assert (first.status_code, second.status_code, gone.status_code) == (200, 412, 412)
    fresh = {"If-None-Match": first.headers["etag"]}
    assert (await ada.client.get(url, headers=fresh)).status_code == 304
    assert (await ada.client.delete(url)).status_code == 204
    assert (await ada.client.get(url)).status_code == 404
    assert await titles(ada, q="label") == []


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": None},
        {"title": "two\nlines"},
        {"description": "x" * 1001},
        {"description": "\0"},
        {"status": "done"},
        {"status": None},
        {"is_completed": None},
        {"priority": "later"},
        {"due_date": "tomorrow"},
        {"due_date": 1893456000},
        {"due_date": "1893456000"},
        {"due_date": "0001-01-01T00:00:00+10:00"},
        {"tags": ["x" * 51]},
        {"tags": [""]},
        {"tags": [str(number) for number in range(21)]},
        {"tags": None},
        {"assignee_id": 0},
        {"assignee_id": 10**30},
        {"owner_id": 1},
        {"id": 1},
        {"completed_at": "2020-01-01"},
        {"created_at": "2020-01-01"},
    ],
)
async def test_a_body_that_is_not_as_described_is_refused(
    sign_in: SignIn, body: dict[str, Any]
) -> None:
    ada = await enter(sign_in)
    task_id = await add(ada)
    headers = {"Content-Type": "application/json"}
    content = json.dumps({"title": "another", **body})
    made = await ada.client.post(TASKS, content=content, headers=headers)
    changed = await ada.client.patch(
        f"{TASKS}/{task_id}", content=json.dumps(body), headers=headers
    )
    assert (made.status_code, changed.status_code) == (422, 422)
    assert await titles(ada) == ["label the readings"]


# Who sees what, and who changes it ----------------------------------------------------------------


async def test_owner_assignee_and_project_see_a_task_and_nobody_else(sign_in: SignIn) -> None:
    ada, ben, eve, stranger = [await enter(sign_in) for _ in range(4)]
    admin = await enter(sign_in, Role.admin)
    project_id = await start(ada)
    await share(ada, project_id, eve)
    await add(ada, "mine")
    await add(ada, "for ben", assignee_id=ben.id)
    await add(ada, "in the project", project_id=project_id)
    await add(ada, "all of it", project_id=project_id, assignee_id=ben.id)
    everything = ["all of it", "in the project", "for ben", "mine"]
    assert await titles(ada) == await titles(admin) == everything
    assert await titles(ben) == ["all of it", "for ben"]
    assert await titles(eve) == ["all of it", "in the project"]
    assert await titles(stranger) == []
    for person, total in ((ada, 4), (ben, 2), (eve, 2), (stranger, 0), (admin, 4)):
        stats = (await person.client.get(f"{TASKS}/stats")).json()
        assert (stats["total"], stats["pending"]) == (total, total)


async def test_somebody_elses_task_is_not_there(sign_in: SignIn) -> None:
    ada, stranger = await enter(sign_in), await enter(sign_in, Role.data_scientist)
    url = f"{TASKS}/{await add(ada, project_id=await start(ada))}"
    answers = [
        await stranger.client.get(url),
        await stranger.client.put(url, json={"title": "mine"}),
        await stranger.client.patch(url, json={"is_completed": True}),
        await stranger.client.delete(url),
        await stranger.client.get(f"{TASKS}/999999"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert await titles(ada) == ["label the readings"]


async def test_a_member_who_views_reads_the_tasks_only(sign_in: SignIn) -> None:
    ada, viewer, writer = [await enter(sign_in) for _ in range(3)]
    project_id = await start(ada)
    await share(ada, project_id, viewer, "viewer")
    await share(ada, project_id, writer, "analyst")
    url = f"{TASKS}/{await add(ada, project_id=project_id)}"
    body = {"title": "another", "project_id": project_id}
    assert (await viewer.client.get(url)).status_code == 200
    assert (await viewer.client.patch(url, json={"title": "x"})).status_code == 403
    assert (await viewer.client.patch(url, json={})).status_code == 403
    assert (await viewer.client.delete(url)).status_code == 403
    assert (await viewer.client.post(TASKS, json=body)).status_code == 403
    assert (await writer.client.patch(url, json={"title": "x"})).status_code == 200
    assert (await writer.client.post(TASKS, json=body)).status_code == 200
    assert (await writer.client.delete(url)).status_code == 204


async def test_an_assignee_says_how_far_it_is_and_no_more(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    url = f"{TASKS}/{await add(ada, assignee_id=ben.id)}"
    begun = await ben.client.patch(url, json={"status": "in_progress"})
    done = await ben.client.put(url, json={"is_completed": True, "title": begun.json()["title"]})
    assert (begun.status_code, done.status_code) == (200, 200)
    for body in ({"title": "x"}, {"assignee_id": None}, {"status": "pending", "tags": ["x"]}):
        assert (await ben.client.patch(url, json=body)).status_code == 403
    assert (await ben.client.delete(url)).status_code == 403
    assert (await ada.client.get(url)).json()["status"] == "completed"


async def test_a_task_goes_only_where_its_owner_may_write(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    foreign, viewed = await start(ben, "foreign"), await start(ben, "viewed")
    await share(ben, viewed, ada, "viewer")
    url = f"{TASKS}/{await add(ada)}"
    for project_id, status in ((foreign, 404), (viewed, 403), (999_999, 404)):
        body = {"title": "x", "project_id": project_id}
        assert (await ada.client.post(TASKS, json=body)).status_code == status
        assert (await ada.client.patch(url, json=body)).status_code == status
        listed = await ada.client.get(TASKS, params={"project": project_id})
        assert listed.status_code == (200 if status == 403 else 404)


async def test_nobody_unknown_or_closed_is_given_a_task(
    sign_in: SignIn, resources: Resources
) -> None:
    ada, closed = await enter(sign_in), await enter(sign_in)
    url = f"{TASKS}/{await add(ada)}"
    async with resources.database.transaction() as session:
        (await session.get_one(User, closed.id)).is_active = False
    for user_id in (closed.id, 999_999):
        body = {"title": "x", "assignee_id": user_id}
        assert (await ada.client.post(TASKS, json=body)).status_code == 422
        assert (await ada.client.patch(url, json=body)).status_code == 422


async def test_an_account_that_only_views_makes_no_task(sign_in: SignIn) -> None:
    viewer = await enter(sign_in, Role.viewer)
    assert (await viewer.client.post(TASKS, json={"title": "x"})).status_code == 403
    assert await titles(viewer) == []


async def test_without_an_account_there_is_nothing(
    sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await add(await enter(sign_in))
    assert (await client.get(TASKS)).status_code == 401
    assert (await client.get(f"{TASKS}/stats")).status_code == 401


async def test_scopes_without_an_account_show_nobodys_tasks(
    sign_in: SignIn, settings: Settings
) -> None:
    """ANONYMOUS_SCOPES opens doors to callers who own nothing."""
    await add(await enter(sign_in))
    opened = settings.model_copy(
        update={"anonymous_scopes": ("tasks:read", "tasks:write", "projects:read")}
    )
    app = create_app(opened)
    async with app.router.lifespan_context(app), make_client(app) as nobody:
        for path in (TASKS, f"{TASKS}?q=label", f"{TASKS}/stats", f"{TASKS}/1"):
            assert (await nobody.get(path)).status_code == 401
        assert (await nobody.get("/api/v1/projects")).status_code == 401
        assert (await nobody.get("/api/v1/projects/stats/summary")).status_code == 401
        assert (await nobody.post(TASKS, json={"title": "x"})).status_code == 401


async def test_who_leaves_a_project_sees_its_tasks_no_more(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    await share(ada, project_id, ben, "analyst")
    await add(ada, "hers", project_id=project_id)
    await add(ben, "his", project_id=project_id)
    await ada.client.delete(f"/api/v1/projects/{project_id}/members/{ben.id}")
    assert await titles(ben) == ["his"]
    assert await titles(ben, q="h") == ["his"]
    assert await titles(ada) == ["his", "hers"]


# Lists ------------------------------------------------------------------------------------------


async def test_a_list_is_narrowed_in_every_way(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    await add(ada, "late", due_date="2020-01-01", priority="high", project_id=project_id)
    await add(ada, "late but done", due_date="2020-01-01", is_completed=True)
    await add(ada, "begun", status="in_progress", due_date="2999-01-01", assignee_id=ben.id)
    await add(ben, "for ada", assignee_id=ada.id, priority="high")
    assert await titles(ada, status="pending") == ["for ada", "late"]
    assert await titles(ada, priority="high") == ["for ada", "late"]
    assert await titles(ada, project=project_id) == ["late"]
    assert await titles(ada, assignee=ben.id) == ["begun"]
    assert await titles(ada, assignee=ada.id) == ["for ada"]
    assert await titles(ada, overdue=True) == ["late"]
    assert await titles(ada, overdue=False) == ["for ada", "begun", "late but done"]
    assert await titles(ada, status="pending", priority="high", project=project_id) == ["late"]
    assert await titles(ada, status="cancelled") == []
    assert await titles(ben, overdue=False) == ["for ada", "begun"]


async def test_a_search_finds_beginnings_of_words_in_all_that_a_task_says(
    sign_in: SignIn,
) -> None:
    ada, ben, stranger = [await enter(sign_in) for _ in range(3)]
    project_id = await start(ada)
    await add(ada, "Report the repairs", tags=["monthly"], project_id=project_id)
    await add(ada, "Read", description="Réparer 100%_sure", status="in_progress")
    await add(ben, "repaint", assignee_id=ada.id)
    await add(stranger, "repeat")
    assert await titles(ada, q="REP") == ["repaint", "Report the repairs"]
    assert await titles(ada, q="rep repai the") == ["Report the repairs"]
    assert await titles(ada, q="re", status="in_progress") == ["Read"]
    assert await titles(ada, q="month") == ["Report the repairs"]
    assert await titles(ada, q="rép sure") == ["Read"]
    assert await titles(ada, q="rep", project=project_id) == ["Report the repairs"]
    assert await titles(ada, q="rep", assignee=ada.id) == ["repaint"]
    assert await titles(ben, q="rep") == ["repaint"]
    assert await titles(ada, q="eport") == []
    for nothing in ("%", "_", "rep%rt", "'", "--"):
        assert await titles(ada, q=nothing) == []
    assert len(await titles(ada, q=" ")) == 3


async def test_a_task_is_found_by_what_it_says_now_and_by_whom_it_is_for_now(
    sign_in: SignIn,
) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    url = f"{TASKS}/{await add(ada, 'paint')}"
    await ada.client.patch(url, json={"title": "glaze", "assignee_id": ben.id})
    assert (await titles(ada, q="paint"), await titles(ada, q="glaze")) == ([], ["glaze"])
    assert await titles(ben, q="glaze") == ["glaze"]
    await ada.client.patch(url, json={"assignee_id": None})
    assert await titles(ben, q="glaze") == []


async def test_pages_follow_each_other_without_gap_or_double(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    for number in range(4):
        await add(ada, f"mine {number}", assignee_id=ada.id, project_id=project_id)
        await add(ben, f"given {number}", assignee_id=ada.id)
    pages = [
        await ada.client.get(TASKS, params={"limit": 3, "offset": offset}) for offset in (0, 3, 6)
    ]
    found = [task["title"] for page in pages for task in page.json()]
    assert found == [f"{who} {n}" for n in (3, 2, 1, 0) for who in ("given", "mine")]
    assert {page.headers["x-total-count"] for page in pages} == {"8"}
    assert 'rel="prev"' in pages[1].headers["link"]


@pytest.mark.parametrize(
    "query", ["status=done", "priority=1", "project=x", "assignee=0", "overdue=maybe", "limit=1001"]
)
async def test_a_question_that_makes_no_sense_is_refused(sign_in: SignIn, query: str) -> None:
    ada = await enter(sign_in)
    assert (await ada.client.get(f"{TASKS}/?{query}")).status_code == 422


async def test_a_repeated_request_makes_one_task(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    headers = {"Idempotency-Key": "once"}
    answers = [await ada.client.post(TASKS, json={"title": "x"}, headers=headers) for _ in "ab"]
    assert answers[0].json() == answers[1].json()
    assert await titles(ada) == ["x"]
