"""Dashboards: what widgets may ask, what they show, who sees and changes them."""

from typing import Any

import httpx2
import pytest

from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.dashboards.views import views_of
from tests.conftest import SignIn
from tests.features.datasets.factories import FLOWERS, upload
from tests.features.projects.factories import Person, enter, share, start

pytestmark = pytest.mark.anyio

URL = "/api/v1/dashboards"
Json = dict[str, Any]


async def drawn(client: httpx2.AsyncClient, **fields: Any) -> Json:
    answer = await client.post(URL, json={"name": "shop", **fields})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    assert answer.headers["Location"] == f"{URL}/{found['id']}"
    return found


async def shown(client: httpx2.AsyncClient, dashboard_id: int) -> list[Json]:
    answer = await client.get(f"{URL}/{dashboard_id}/data")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["widgets"]
    return found


@pytest.fixture
async def owner(sign_in: SignIn) -> Person:
    return await enter(sign_in, Role.data_scientist)


# Widgets ----------------------------------------------------------------------------------------


async def test_every_kind_of_widget_shows_something(owner: Person, resources: Resources) -> None:
    flowers = (await upload(owner.client)).json()["id"]
    await resources.database.write(
        lambda session: jobs.enqueue(session, "tests.nothing", owner_id=owner.id)
    )
    query = {"dataset_id": flowers, "group_by": "species", "aggregate": "mean", "value": "length"}
    rows = {"dataset_id": flowers, "columns": ["length", "species"], "limit": 2}
    rows["where"] = [{"column": "species", "op": "eq", "value": "setosa"}]
    made = await drawn(
        owner.client,
        widgets=[
            {"type": "metric", "metric": "datasets", "title": "Data sets"},
            {"type": "line", "metric": "datasets", "hours": 1},
            {"type": "bar", "query": query},
            {"type": "table", "query": rows},
            {"type": "events", "topic": "jobs"},
            {"type": "events", "topic": "runs"},
            {"type": "lineage", "kind": "dataset_version", "id": f"{flowers}@1"},
            {"type": "markdown", "text": "# Flowers"},
        ],
    )
    assert made["widget_count"] == 8
    metric, line, bar, table, asked, runs, lineage, text = await shown(owner.client, made["id"])
    assert metric["title"] == "Data sets"
    assert metric["data"]["value"] == 1
    assert {p["value"] for p in line["data"]["points"]} <= {0, 1}  # A minute may begin meanwhile.
    flowers_of: list[Json] = FLOWERS
    setosa = [row["length"] for row in flowers_of if row["species"] == "setosa"]
    means = {row["group"]: row["value"] for row in bar["data"]["rows"]}
    assert means["setosa"] == pytest.approx(sum(setosa) / len(setosa))
    assert bar["data"]["dataset"] == f"{flowers}@1"
    assert [row["species"] for row in table["data"]["rows"]] == ["setosa", "setosa"]
    assert [job["kind"] for job in asked["data"]["events"]] == ["tests.nothing"]
    assert runs["data"]["events"] == []
    assert {node["kind"] for node in lineage["data"]["nodes"]} >= {"dataset_version", "upload"}
    assert text["data"]["text"] == "# Flowers"


async def test_all_faults_of_all_widgets_at_once(owner: Person) -> None:
    flowers = (await upload(owner.client)).json()["id"]
    group = {"dataset_id": flowers, "aggregate": "sum", "value": "species"}
    body = {
        "name": "x",
        "widgets": [
            {"type": "metric", "metric": "weather"},
            {"type": "bar", "query": group},
            {"type": "table", "query": {"dataset_id": 999, "columns": ["a"]}},
            {"type": "table", "query": {"dataset_id": flowers, "columns": ["height"]}},
        ],
    }
    answer = await owner.client.post(URL, json=body)
    assert answer.status_code == 422
    faults = {tuple(fault["loc"][2:4]): fault["msg"] for fault in answer.json()["errors"]}
    assert faults.keys() == {(0, "metric"), (1, "query"), (2, "query"), (3, "query")}
    assert "datasets" in faults[0, "metric"], "it names what there is"
    assert "numbers" in faults[1, "query"]
    assert "height" in faults[3, "query"]


@pytest.mark.parametrize(
    "widget",
    [
        {"type": "pie"},
        {"type": "line"},
        {"type": "line", "metric": "datasets", "query": {"dataset_id": 1}},
        {"type": "metric", "metric": "datasets", "sql": "SELECT 1"},
        {"type": "bar", "query": {"dataset_id": 1, "aggregate": "drop table"}},
        {"type": "table", "query": {"dataset_id": 1, "columns": []}},
        {"type": "table", "query": {"dataset_id": 1, "columns": ["a"], "limit": 100_000}},
        {"type": "events", "topic": "metrics"},
        {"type": "metric", "metric": "datasets", "width": 13},
    ],
)
async def test_what_is_no_widget_is_refused(owner: Person, widget: Json) -> None:
    answer = await owner.client.post(URL, json={"name": "x", "widgets": [widget]})
    assert answer.status_code == 422


async def test_a_widget_that_can_no_longer_show_says_why_and_the_others_go_on(
    owner: Person,
) -> None:
    flowers = (await upload(owner.client)).json()["id"]
    table = {"type": "table", "query": {"dataset_id": flowers, "columns": ["length"]}}
    made = await drawn(owner.client, widgets=[table, {"type": "metric", "metric": "datasets"}])
    await owner.client.delete(f"/api/v1/datasets/{flowers}")
    gone, metric = await shown(owner.client, made["id"])
    assert gone["data"] is None
    assert str(flowers) in gone["error"]
    assert metric["data"]["value"] == 0


# Who sees and changes them -----------------------------------------------------------------------


async def test_the_team_sees_what_is_not_private(owner: Person, sign_in: SignIn) -> None:
    other, admin = await enter(sign_in), await enter(sign_in, Role.admin)
    private = (await drawn(owner.client, private=True))["id"]
    shared = (await drawn(owner.client))["id"]
    assert [d["id"] for d in (await other.client.get(URL)).json()] == [shared]
    for more in ("", "/data"):
        assert (await other.client.get(f"{URL}/{private}{more}")).status_code == 404
        assert (await admin.client.get(f"{URL}/{private}{more}")).status_code == 200
    assert (await other.client.post(f"{URL}/{private}/duplicate")).status_code == 404
    assert (await other.client.patch(f"{URL}/{shared}", json={"name": "mine"})).status_code == 403
    assert (await other.client.delete(f"{URL}/{shared}")).status_code == 403
    copy = (await other.client.post(f"{URL}/{shared}/duplicate")).json()
    assert copy["name"] == "shop (copy)"
    assert copy["owner_id"] == other.id
    assert (await other.client.delete(f"{URL}/{copy['id']}")).status_code == 204


async def test_a_viewer_makes_none(sign_in: SignIn) -> None:
    viewer = await enter(sign_in, Role.viewer)
    assert (await viewer.client.post(URL, json={"name": "x"})).status_code == 403
    assert (await viewer.client.get(URL)).status_code == 200


async def test_a_project_says_who_sees_and_who_writes(owner: Person, sign_in: SignIn) -> None:
    project = await start(owner)
    reader, writer, outsider = [await enter(sign_in) for _ in range(3)]
    await share(owner, project, reader, "viewer")
    await share(owner, project, writer, "analyst")
    made = (await drawn(owner.client, project_id=project))["id"]
    assert (await outsider.client.get(f"{URL}/{made}")).status_code == 404
    assert (await reader.client.get(f"{URL}/{made}")).status_code == 200
    change = {"name": "theirs"}
    assert (await reader.client.patch(f"{URL}/{made}", json=change)).status_code == 403
    assert (await writer.client.patch(f"{URL}/{made}", json=change)).status_code == 200
    copy = (await reader.client.post(f"{URL}/{made}/duplicate")).json()
    assert copy["project_id"] is None, "who only reads a project puts nothing into it"
    body = {"name": "x", "project_id": project}
    assert (await outsider.client.post(URL, json=body)).status_code == 404
    gone = await owner.client.delete(f"/api/v1/projects/{project}")
    assert gone.status_code == 204, gone.text
    left = (await owner.client.get(f"{URL}/{made}")).json()
    assert (left["project_id"], left["private"]) == (None, True)
    assert (await outsider.client.get(f"{URL}/{made}")).status_code == 404


async def test_a_change_of_what_has_changed_is_refused(owner: Person) -> None:
    made = (await drawn(owner.client, description="old"))["id"]
    first = await owner.client.get(f"{URL}/{made}")
    stale = {"If-Match": first.headers["ETag"]}
    changed = await owner.client.patch(f"{URL}/{made}", json={"description": None})
    assert changed.json()["description"] is None
    assert changed.json()["name"] == "shop"
    refused = await owner.client.put(f"{URL}/{made}", json={"name": "x"}, headers=stale)
    assert refused.status_code == 412


# Views ------------------------------------------------------------------------------------------


async def test_views_are_counted_and_change_no_version(
    owner: Person, resources: Resources, sign_in: SignIn
) -> None:
    made = await drawn(owner.client)
    viewer = await enter(sign_in, Role.viewer)
    tags = set()
    for count in range(1, 4):
        answer = await viewer.client.get(f"{URL}/{made['id']}")
        assert answer.json()["views_today"] == answer.json()["views_total"] == count
        tags.add(answer.headers["ETag"])
    await views_of(resources).store()
    (listed,) = (await owner.client.get(URL)).json()
    assert listed["views_total"] == listed["views_today"] == 3
    assert listed["updated_at"] == made["updated_at"]
    assert len(tags) == 1
    await viewer.client.get(f"{URL}/{made['id']}")
    await views_of(resources).close()
    (listed,) = (await owner.client.get(URL)).json()
    assert listed["views_total"] == 4
