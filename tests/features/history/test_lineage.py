"""The graph around a thing: what it came of, what came of it, and where it is cut."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx2
import pytest

from astralytiq.core import lineage
from astralytiq.core.db import Database
from astralytiq.core.lineage import Edge, Kind, Node
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.history import found
from tests.conftest import SignIn
from tests.features.datasets.factories import CSV, upload
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

API = "/api/v1"
ROW = {"records": [{"length": 1.0, "width": 0}]}


def node(written: str) -> Node:
    kind, _, thing_id = written.partition(" ")
    return Node(Kind(kind), thing_id)


async def connect(database: Database, *edges: tuple[str, str]) -> None:
    """Each in a transaction of its own, so that the last is the newest."""
    for origin, made in edges:
        edge = Edge(node(origin), node(made))
        await database.write(partial(lineage.connect, edges=[edge]))


async def graph(client: httpx2.AsyncClient, written: str, **params: Any) -> dict[str, Any]:
    kind, _, thing_id = written.partition(" ")
    answer = await client.get(f"{API}/lineage/{kind}/{thing_id}", params=params)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = answer.json()
    return read


def names(read: dict[str, Any]) -> set[str]:
    return {f"{one['kind']} {one['id']}" for one in read["nodes"]}


def drawn(read: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (f"{e['origin']['kind']} {e['origin']['id']}", f"{e['made']['kind']} {e['made']['id']}")
        for e in read["edges"]
    }


STORY = (
    ("source shop", "run r1"),
    ("run r1", "raw r1"),
    ("raw r1", "records r1"),
    ("run r1", "records r1"),
    ("source shop", "run r2"),
    ("run r2", "records r2"),
    ("records r1", "dataset_version 1@1"),
    ("records r1", "dataset_version 1@2"),
    ("records r2", "dataset_version 1@2"),
    ("dataset_version 1@2", "training_run t"),
    ("training_run t", "model_version flowers@1"),
)


@pytest.fixture
async def viewer(sign_in: SignIn, database: Database) -> httpx2.AsyncClient:
    await connect(database, *STORY)
    return await sign_in(Role.viewer)


async def test_upwards_is_what_it_came_of_and_nothing_that_came_later(
    viewer: httpx2.AsyncClient,
) -> None:
    read = await graph(viewer, "dataset_version 1@1", direction="up")
    assert names(read) == {
        "dataset_version 1@1", "records r1", "raw r1", "run r1", "source shop",
    }  # fmt: skip
    assert drawn(read) == set(STORY[:4]) | {STORY[6]}
    assert (read["is_cut"], read["cut"]) == (False, [])


async def test_downwards_is_all_that_came_of_it(viewer: httpx2.AsyncClient) -> None:
    read = await graph(viewer, "source shop", direction="down")
    assert drawn(read) == set(STORY)


async def test_both_ways_do_not_show_what_else_came_of_its_origins(
    viewer: httpx2.AsyncClient,
) -> None:
    read = await graph(viewer, "records r2")
    assert drawn(read) == {STORY[4], STORY[5], STORY[8], STORY[9], STORY[10]}


async def test_nodes_are_named_as_openlineage_names_them(viewer: httpx2.AsyncClient) -> None:
    read = await graph(viewer, "training_run t", depth=1)
    told = {one["name"]: one for one in read["nodes"]}
    assert {name: one["type"] for name, one in told.items()} == {
        "trainings/t": "run", "datasets/1@2": "dataset", "models/flowers@1": "dataset",
    }  # fmt: skip
    assert {one["namespace"] for one in told.values()} == {"astralytiq"}
    assert told["models/flowers@1"]["href"] == "/api/v1/models/flowers/versions/1"


async def test_a_depth_that_is_too_small_says_so_and_one_that_fits_does_not(
    viewer: httpx2.AsyncClient,
) -> None:
    read = await graph(viewer, "source shop", direction="down", depth=4)
    assert "training_run t" in names(read)
    assert "model_version flowers@1" not in names(read)
    assert read["is_cut"]
    assert "4 steps" in read["cut"][0]
    assert not (await graph(viewer, "source shop", direction="down", depth=5))["is_cut"]


async def test_a_cycle_ends(viewer: httpx2.AsyncClient, database: Database) -> None:
    circle = ("model_version flowers@1", "source shop")
    await connect(database, circle)
    read = await graph(viewer, "run r1", depth=50)
    assert drawn(read) == {*STORY, circle}
    assert not read["is_cut"]


async def test_a_graph_that_is_too_large_keeps_the_newest_and_says_so(
    viewer: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(database, *(("source big", f"run b{n}") for n in range(5)))
    monkeypatch.setattr(found, "MOST_NODES", 4)
    read = await graph(viewer, "source big")
    assert names(read) == {"source big", "run b4", "run b3", "run b2"}
    assert read["is_cut"]


async def test_what_is_not_there_is_not_found(viewer: httpx2.AsyncClient) -> None:
    for absent in (
        "source nobody", "run x", "raw x", "records x", "upload x", "dataset_version 9@9",
        "dataset_version x", "training_run x", "model_version x", "model_version flowers@2",
        "deployment x", "prediction x", "source %00",
    ):  # fmt: skip
        kind, _, thing_id = absent.partition(" ")
        answer = await viewer.get(f"{API}/lineage/{kind}/{thing_id}")
        assert (answer.status_code, absent) == (404, absent)
    assert (await viewer.get(f"{API}/lineage/planet/mars")).status_code == 422


async def test_a_stranger_stays_outside(client: httpx2.AsyncClient) -> None:
    for path in ("lineage/source/shop", "datasets/1/lineage"):
        assert (await client.get(f"{API}/{path}")).status_code == 401


async def test_a_key_that_may_not_read_data_stays_outside(
    app: Any, viewer: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    made = await viewer.post(f"{API}/api-keys", json={"name": "k", "scopes": ["models:read"]})
    headers = {"X-API-Key": made.json()["key"]}
    answer = await client.get(f"{API}/lineage/source/shop", headers=headers)
    assert answer.status_code == 403


async def test_a_thing_that_nothing_came_of_yet_stands_alone(sign_in: SignIn) -> None:
    owner = await sign_in(Role.data_scientist)
    source = {"name": "new", "kind": "csv", "path": "new.csv"}
    assert (await owner.post(f"{API}/sources", json=source)).is_success
    read = await graph(owner, "source new")
    assert (names(read), read["edges"]) == ({"source new"}, [])


async def test_the_same_file_sent_twice_is_one_origin_of_two_data_sets(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    ids = [(await upload(analyst, CSV)).json()["id"] for _ in range(2)]
    read = (await analyst.get(f"{API}/datasets/{ids[0]}/lineage")).json()
    (edge,) = read["edges"]
    assert (edge["origin"]["kind"], edge["made"]["id"]) == ("upload", f"{ids[0]}@1")
    both = await graph(analyst, f"upload {edge['origin']['id']}")
    assert {edge["made"]["id"] for edge in both["edges"]} == {f"{n}@1" for n in ids}
    assert (await analyst.get(f"{API}/datasets/9999/lineage")).status_code == 404


# Predictions ------------------------------------------------------------------------------------


async def predicted(client: httpx2.AsyncClient, how: str = "") -> str:
    answer = await client.post(f"{API}/models/flowers{how}/predict", json=ROW)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prediction_id"])


def predictions(read: dict[str, Any]) -> Sequence[str]:
    return sorted(one["id"] for one in read["nodes"] if one["kind"] == "prediction")


async def test_predictions_come_of_the_deployment_that_there_was_and_are_shown_to_their_owner(
    sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    before = await predicted(owner, "/versions/1")
    await promote(owner)
    after = await predicted(owner)
    read = await graph(owner, "model_version flowers@1", direction="down")
    assert drawn(read) == {
        ("model_version flowers@1", "deployment flowers@1"),
        ("model_version flowers@1", f"prediction {before}"),
        ("deployment flowers@1", f"prediction {after}"),
    }
    assert predictions(await graph(owner, "deployment flowers@1", direction="down")) == [after]
    up = await graph(owner, f"prediction {after}", direction="up")
    assert {"deployment flowers@1", "model_version flowers@1"} <= names(up)
    assert {one["kind"] for one in up["nodes"]} >= {"training_run", "dataset_version", "upload"}

    other, admin = await sign_in(Role.data_scientist), await sign_in(Role.admin)
    answer = await other.get(f"{API}/lineage/prediction/{after}")
    assert answer.status_code == 404
    theirs = await graph(other, "model_version flowers@1")
    assert predictions(theirs) == []
    assert after not in str(theirs)
    assert count(theirs) == 0
    assert predictions(await graph(admin, "model_version flowers@1")) == sorted([before, after])
    assert count(await graph(admin, "model_version flowers@1")) == 2


def count(read: dict[str, Any]) -> int:
    (told,) = (one["facets"] for one in read["nodes"] if one["kind"] == "model_version")
    return int(told["predictions"])


async def test_a_version_that_goes_into_production_again_is_the_same_deployment(
    sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    for stage in ("production", "archived", "production"):
        await promote(owner, stage=stage)
    read = await graph(owner, "model_version flowers@1", direction="down")
    assert drawn(read) == {("model_version flowers@1", "deployment flowers@1")}


async def test_a_key_without_models_sees_no_prediction_in_the_graph(
    sign_in: SignIn, resources: Resources, client: httpx2.AsyncClient
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    made = await predicted(owner, "/versions/1")
    key = await owner.post(f"{API}/api-keys", json={"name": "k", "scopes": ["data:read"]})
    client.headers["X-API-Key"] = key.json()["key"]
    assert predictions(await graph(client, "model_version flowers@1")) == []
    assert (await client.get(f"{API}/lineage/prediction/{made}")).status_code == 403
