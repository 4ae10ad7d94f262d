"""What a caller meets at the project doors."""

import json
from typing import Any

import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts.models import User
from tests.conftest import SignIn
from tests.features.projects.factories import PROJECTS, Person, enter, names, share, start

pytestmark = pytest.mark.anyio

WHOLE: dict[str, Any] = {
    "name": "Churn",
    "description": "Who leaves, and why",
    "project_type": "classification",
    "programming_language": "Python",
    "framework": "scikit-learn",
    "repository_url": "https://example.com/churn.git",
    "status": "on_hold",
    "project_metadata": {"budget": 7, "labels": ["a", {"b": None}]},
}


async def test_a_project_keeps_what_it_was_given(sign_in: SignIn) -> None:
    owner = await enter(sign_in)
    made = await owner.client.post(f"{PROJECTS}/", json=WHOLE)
    body = made.json()
    assert made.status_code == 201
    assert body["updated_at"] == body["created_at"]
    assert {name: body[name] for name in WHOLE} == WHOLE
    assert (body["owner_id"], body["members"]) == (owner.id, [])
    assert made.headers["location"] == f"{PROJECTS}/{body['id']}"
    read = await owner.client.get(made.headers["location"])
    assert (read.json(), read.headers["etag"]) == (body, made.headers["etag"])


async def test_a_name_is_taken_once_for_each_owner(sign_in: SignIn) -> None:
    one, other = await enter(sign_in), await enter(sign_in)
    await start(one, "churn")
    await start(other, "churn")
    second = await start(one, "sales")
    assert (await one.client.post(PROJECTS, json={"name": "churn"})).status_code == 409
    renamed = await one.client.patch(f"{PROJECTS}/{second}", json={"name": "churn"})
    assert renamed.status_code == 409
    same = await one.client.patch(f"{PROJECTS}/{second}", json={"name": "sales"})
    assert same.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_leaves_alone_what_it_does_not_name(sign_in: SignIn, method: str) -> None:
    owner = await enter(sign_in)
    url = (await owner.client.post(PROJECTS, json=WHOLE)).headers["location"]
    before = await owner.client.get(url)
    body = {"status": "archived", "framework": None}
    changed = await owner.client.request(method, url, json=body)
    assert changed.status_code == 200
    kept = {name: before.json()[name] for name in before.json() if name != "updated_at"}
    assert {name: changed.json()[name] for name in kept} == kept | body
    assert changed.headers["etag"] != before.headers["etag"]


async def test_a_change_of_nothing_changes_nothing(sign_in: SignIn) -> None:
    owner = await enter(sign_in)
    url = f"{PROJECTS}/{await start(owner)}"
    before = await owner.client.get(url)
    same = await owner.client.put(url, json={"status": "active"})
    assert (same.json(), same.headers["etag"]) == (before.json(), before.headers["etag"])


async def test_a_stale_change_is_refused(sign_in: SignIn) -> None:
    owner = await enter(sign_in)
    url = f"{PROJECTS}/{await start(owner)}"
    seen = {"If-Match": (await owner.client.get(url)).headers["etag"]}
    first = await owner.client.patch(url, json={"status": "on_hold"}, headers=seen)
    second = await owner.client.patch(url, json={"status": "active"}, headers=seen)
    gone = await owner.client.delete(url, headers=seen)
    assert (first.status_code, second.status_code, gone.status_code) == (200, 412, 412)
    fresh = {"If-None-Match": first.headers["etag"]}
    assert (await owner.client.get(url, headers=fresh)).status_code == 304


def nested(levels: int) -> dict[str, Any]:
    return {"in": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "two\nlines"},
        {"name": None},
        {"description": "x" * 2001},
        {"description": "\0"},
        {"status": "forgotten"},
        {"status": None},
        {"repository_url": "javascript:alert(1)"},
        {"repository_url": "https://ada:secret@example.com/x"},
        {"project_metadata": []},
        {"project_metadata": {"text": "x" * 65_536}},
        {"project_metadata": nested(40)},
        {"owner_id": 1},
        {"id": 1},
        {"members": []},
        {"search": "x"},
    ],
)
async def test_a_body_that_is_not_as_described_is_refused(
    sign_in: SignIn, body: dict[str, Any]
) -> None:
    owner = await enter(sign_in)
    project_id = await start(owner)
    headers = {"Content-Type": "application/json"}
    content = json.dumps({"name": "another", **body})
    made = await owner.client.post(PROJECTS, content=content, headers=headers)
    changed = await owner.client.put(
        f"{PROJECTS}/{project_id}", content=json.dumps(body), headers=headers
    )
    assert (made.status_code, changed.status_code) == (422, 422)
    assert await names(owner) == ["churn"]


@pytest.mark.parametrize("url", ["git@example.com:a/b.git", "ssh://git@example.com/a", None])
async def test_a_repository_may_be_reached_by_git_too(sign_in: SignIn, url: str | None) -> None:
    owner = await enter(sign_in)
    assert await start(owner, repository_url=url)


# Who sees what ----------------------------------------------------------------------------------


async def test_everybody_sees_their_own_projects_and_those_they_are_in(sign_in: SignIn) -> None:
    ada, ben, admin = await enter(sign_in), await enter(sign_in), await enter(sign_in, Role.admin)
    shared = await start(ada, "shared")
    await start(ada, "private")
    await start(ben, "bens")
    await share(ada, shared, ben)
    assert await names(ada) == ["private", "shared"]
    assert await names(ben) == ["bens", "shared"]
    assert await names(admin) == ["bens", "private", "shared"]


async def test_somebody_elses_project_is_not_there(sign_in: SignIn) -> None:
    ada, stranger = await enter(sign_in), await enter(sign_in, Role.data_scientist)
    url = f"{PROJECTS}/{await start(ada)}"
    answers = [
        await stranger.client.get(url),
        await stranger.client.put(url, json={"name": "mine"}),
        await stranger.client.patch(url, json={}),
        await stranger.client.delete(url),
        await stranger.client.put(f"{url}/members/{stranger.id}", json={"role": "analyst"}),
        await stranger.client.delete(f"{url}/members/{ada.id}"),
        await stranger.client.get(f"{PROJECTS}/999999"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 7
    assert await names(ada) == ["churn"]


async def test_a_member_who_views_changes_nothing(sign_in: SignIn) -> None:
    ada, viewer, writer = [await enter(sign_in) for _ in range(3)]
    project_id = await start(ada)
    await share(ada, project_id, viewer, "viewer")
    await share(ada, project_id, writer, "analyst")
    url = f"{PROJECTS}/{project_id}"
    assert (await viewer.client.get(url)).status_code == 200
    assert (await viewer.client.patch(url, json={"status": "on_hold"})).status_code == 403
    assert (await writer.client.patch(url, json={"status": "on_hold"})).status_code == 200


async def test_only_owner_and_admins_manage_a_project(sign_in: SignIn) -> None:
    ada, writer, other = [await enter(sign_in) for _ in range(3)]
    admin = await enter(sign_in, Role.admin)
    project_id = await start(ada)
    await share(ada, project_id, writer, "data_scientist")
    url = f"{PROJECTS}/{project_id}"
    refused = [
        await writer.client.put(f"{url}/members/{other.id}", json={"role": "viewer"}),
        await writer.client.delete(f"{url}/members/{writer.id}"),
        await writer.client.delete(url),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    await share(admin, project_id, other)
    assert (await admin.client.delete(url)).status_code == 204
    assert await names(ada) == []


async def test_an_account_that_only_views_owns_nothing(sign_in: SignIn) -> None:
    viewer = await enter(sign_in, Role.viewer)
    assert (await viewer.client.post(PROJECTS, json={"name": "x"})).status_code == 403
    assert await names(viewer) == []


async def test_without_an_account_there_is_nothing(sign_in: SignIn, client: Any) -> None:
    await start(await enter(sign_in))
    assert (await client.get(PROJECTS)).status_code == 401
    assert (await client.get(f"{PROJECTS}/stats/summary")).status_code == 401


# Members ----------------------------------------------------------------------------------------


async def members(person: Person, project_id: int) -> dict[int, str]:
    found = (await person.client.get(f"{PROJECTS}/{project_id}")).json()["members"]
    return {member["user_id"]: member["role"] for member in found}


async def test_members_come_change_and_go(sign_in: SignIn) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    url = f"{PROJECTS}/{project_id}"
    tag = (await ada.client.get(url)).headers["etag"]
    added = await ada.client.put(f"{url}/members/{ben.id}", json={"role": "viewer"})
    assert (added.status_code, added.json()) == (200, {"user_id": ben.id, "role": "viewer"})
    assert added.headers["etag"] != tag
    await share(ada, project_id, ben, "analyst")
    assert await members(ben, project_id) == {ben.id: "analyst"}
    assert (await ada.client.delete(f"{url}/members/{ben.id}")).status_code == 204
    assert (await ada.client.delete(f"{url}/members/{ben.id}")).status_code == 404
    assert await members(ada, project_id) == {}
    assert (await ben.client.get(url)).status_code == 404


async def test_nobody_unknown_or_closed_becomes_a_member(
    sign_in: SignIn, resources: Resources
) -> None:
    ada, closed = await enter(sign_in), await enter(sign_in)
    async with resources.database.transaction() as session:
        (await session.get_one(User, closed.id)).is_active = False
    url = f"{PROJECTS}/{await start(ada)}/members"
    statuses = [
        (await ada.client.put(f"{url}/{user_id}", json={"role": "viewer"})).status_code
        for user_id in (closed.id, 999_999, ada.id)
    ]
    assert statuses == [422, 422, 422]


@pytest.mark.parametrize("role", ["admin", "owner", None, 1])
async def test_a_member_has_a_role_that_a_member_can_have(sign_in: SignIn, role: object) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    url = f"{PROJECTS}/{await start(ada)}/members/{ben.id}"
    assert (await ada.client.put(url, json={"role": role})).status_code == 422


# Lists ------------------------------------------------------------------------------------------


async def test_a_list_is_narrowed_searched_and_sorted(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    await start(ada, "Churn model", programming_language="Python", status="completed")
    await start(ada, "Sales", programming_language="R", description="forecasts for models")
    await start(ada, "apples", programming_language="Python", framework="100%_sure")
    assert await names(ada) == ["apples", "Sales", "Churn model"]
    assert await names(ada, status="completed") == ["Churn model"]
    assert await names(ada, language="python", sort="created_at") == ["Churn model", "apples"]
    assert await names(ada, q="MOD", sort="-name") == ["Sales", "Churn model"]
    assert await names(ada, q="mod fore") == ["Sales"]
    assert await names(ada, q="odel") == []
    assert await names(ada, q="100") == ["apples"]
    for wildcard in ("%", "_", "ch_rn", "c%n"):
        assert await names(ada, q=wildcard) == []
    assert len(await names(ada, q=" ")) == 3


async def test_a_project_is_found_by_what_it_says_now(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    url = f"{PROJECTS}/{await start(ada, 'churn')}"
    await ada.client.patch(url, json={"name": "Überblick"})
    assert (await names(ada, q="churn"), await names(ada, q="ÜBER")) == ([], ["Überblick"])


async def test_pages_say_where_the_others_are(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    for number in range(3):
        await start(ada, f"project {number}")
    answer = await ada.client.get(PROJECTS, params={"limit": 2, "sort": "name"})
    assert [found["name"] for found in answer.json()] == ["project 0", "project 1"]
    assert answer.headers["x-total-count"] == "3"
    assert 'rel="next"' in answer.headers["link"]


@pytest.mark.parametrize(
    "query",
    ["sort=owner_id", "sort=name;drop", "status=x", "limit=0", "q=" + "%20".join("abcdefghijk")],
)
async def test_25_a_question_that_makes_no_sense_is_refused(sign_in: SignIn, query: str) -> None:
    ada = await enter(sign_in)
    assert (await ada.client.get(f"{PROJECTS}?{query}")).status_code == 422


# Deleting, and the summary ----------------------------------------------------------------------


async def task_in(person: Person, project_id: int, **fields: Any) -> int:
    body = {"title": "label readings", "project_id": project_id, **fields}
    made = await person.client.post("/api/v1/tasks", json=body)
    assert made.status_code == 200, made.text
    return int(made.json()["id"])


@pytest.mark.parametrize(("query", "fate"), [("", 200), ("?resources=delete", 404)])
async def test_the_resources_of_a_deleted_project_are_detached_or_deleted(
    sign_in: SignIn, query: str, fate: int
) -> None:
    ada, ben = await enter(sign_in), await enter(sign_in)
    project_id = await start(ada)
    await share(ada, project_id, ben, "analyst")
    task_id = await task_in(ben, project_id)
    before = await ben.client.get(f"/api/v1/tasks/{task_id}")
    assert (await ada.client.delete(f"{PROJECTS}/{project_id}{query}")).status_code == 204
    assert await names(ben) == []
    after = await ben.client.get(f"/api/v1/tasks/{task_id}")
    assert after.status_code == fate
    if fate == 200:
        assert after.json()["project_id"] is None
        assert after.headers["etag"] != before.headers["etag"]
    found = (await ben.client.get("/api/v1/tasks", params={"q": "label"})).json()
    assert len(found) == (1 if fate == 200 else 0)
    assert (await ada.client.get(f"/api/v1/tasks/{task_id}")).status_code == 404


async def test_another_fate_of_the_resources_is_refused(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    url = f"{PROJECTS}/{await start(ada)}"
    assert (await ada.client.delete(f"{url}?resources=burn")).status_code == 422
    assert await names(ada) == ["churn"]


async def test_the_summary_counts_what_one_sees(sign_in: SignIn) -> None:
    ada, ben, stranger = [await enter(sign_in) for _ in range(3)]
    project_id = await start(ada, "a", programming_language="Python", project_type="research")
    await start(ada, "b", programming_language="Python", status="archived")
    await start(stranger, "c")
    await share(ada, project_id, ben)
    await task_in(ada, project_id, due_date="2020-01-01")
    await task_in(ada, project_id, status="completed", due_date="2020-01-01")
    await task_in(ada, project_id, due_date="2999-01-01")
    summary = (await ada.client.get(f"{PROJECTS}/stats/summary")).json()
    assert summary == {
        "total_projects": 2,
        "by_status": {"active": 1, "completed": 0, "archived": 1, "on_hold": 0},
        "by_language": {"Python": 2},
        "by_type": {"research": 1, "unspecified": 1},
        "tasks": {"total": 3, "open": 2, "overdue": 1},
        "datasets": 0,
        "models": 0,
        "activity": {
            **{"days": 30, "total": 5},
            **{"projects": 2, "tasks": 3, "datasets": 0, "models": 0},
        },
    }
    bens = (await ben.client.get(f"{PROJECTS}/stats/summary")).json()
    assert (bens["total_projects"], bens["tasks"]["total"]) == (1, 3)
    strangers = (await stranger.client.get(f"{PROJECTS}/stats/summary")).json()
    assert (strangers["total_projects"], strangers["tasks"]["total"]) == (1, 0)


async def test_data_sets_are_counted_by_their_own_room(sign_in: SignIn) -> None:
    ada = await enter(sign_in)
    files = {"file": ("a.csv", "x,y\n1,2\n")}
    assert (await ada.client.post("/api/v1/datasets/upload", files=files)).status_code == 201
    summary = (await ada.client.get(f"{PROJECTS}/stats/summary")).json()
    assert (summary["datasets"], summary["activity"]["datasets"]) == (1, 1)
