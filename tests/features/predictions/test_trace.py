"""The walk back from a prediction, and the walk down to it, over everything between."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import CSV, FLOWERS
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

API = "/api/v1"
SOURCE = {"name": "garden", "kind": "csv", "path": "garden.csv", "primary_key": "id"}
ROW = {"records": [{"length": 1.0, "width": 0}]}

Json = dict[str, Any]
Served = Callable[[], Awaitable[Json]]


def garden(resources: Resources, first_length: str) -> None:
    lines = CSV.splitlines()
    rows = [lines[1].replace(lines[1].split(",")[0], first_length, 1), *lines[2:]]
    numbered = [f"{number},{row}\n" for number, row in enumerate(rows, 1)]
    path = resources.settings.home / "inbox" / "garden.csv"
    path.write_text(f"id,{lines[0]}\n" + "".join(numbered))


@pytest.fixture
async def scientist(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


@pytest.fixture
def served(
    scientist: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs, mlflow: Tracker
) -> Served:
    """Source, run, data set, training, production, prediction: what each step answered."""

    async def made(path: str, body: Json) -> Json:
        answer = await scientist.post(f"{API}/{path}", json=body)
        assert answer.is_success, answer.text
        await run_jobs()
        found: Json = answer.json()
        return found

    async def serve() -> Json:
        garden(resources, "1.5")
        await made("sources", SOURCE)
        run = await made("sources/garden/run", {})
        asked = {"name": "garden", "from_records": {"source": "garden"}}
        dataset = await made("datasets", asked)
        training = await made(
            "ml/train",
            {"algorithm": "decision_tree", "dataset_id": f"{dataset['id']}@1",
             "target": "species", "features": ["length", "width"], "model_name": "flowers"},
        )  # fmt: skip
        await made("models/flowers/versions/1/stage", {"stage": "production"})
        predicted = await made("models/flowers/predict", ROW)
        return {"run": run, "dataset": dataset, "training": training, "prediction": predicted}

    return serve


async def read(client: httpx2.AsyncClient, path: str, **params: Any) -> Json:
    answer = await client.get(
        path if path.startswith("/") else f"{API}/{path}", params=params or None
    )
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_from_a_prediction_one_walks_back_to_a_payload_and_from_the_source_down_to_it(
    scientist: httpx2.AsyncClient, served: Served
) -> None:
    story = await served()
    run_id, prediction_id = story["run"]["run_id"], story["prediction"]["prediction_id"]
    trace = await read(scientist, f"predictions/{prediction_id}/trace")
    assert trace["prediction"]["prediction_id"] == prediction_id
    assert (trace["model"]["name"], trace["model"]["version"]) == ("flowers", 1)
    assert trace["training"]["job_id"] == story["training"]["job_id"]
    assert (trace["dataset"]["id"], trace["dataset"]["version"]) == (story["dataset"]["id"], 1)
    assert trace["origin"] == {"kind": "records", "source": "garden", "run_ids": [run_id]}
    (run,) = trace["runs"]
    assert (run["run_id"], run["source"], run["status"]) == (run_id, "garden", "success")
    assert (run["records_processed"], trace["run_count"]) == (len(FLOWERS), 1)

    assert len(trace["records"]) == 5
    for place, record in enumerate(trace["records"]):
        assert (record["is_kept"], record["has_changed"]) == (True, False)
        assert (record["run_id"], record["raw_position"]) == (run_id, place)
        raw = await read(scientist, record["raw"])
        assert raw["run_id"] == run_id
        assert raw["payload"]["id"] == str(place + 1)
        assert raw["payload"]["species"] == FLOWERS[place]["species"]

    down = await read(scientist, "lineage/source/garden", direction="down")
    kinds = [one["kind"] for one in down["nodes"]]
    assert sorted(kinds) == sorted(
        ["source", "run", "raw", "records", "dataset_version", "training_run", "model_version",
         "deployment", "prediction"]
    )  # fmt: skip
    up = await read(scientist, f"lineage/prediction/{prediction_id}", direction="up")
    assert ends(up) == ends(down)


def ends(graph: Json) -> set[tuple[str, str, str, str]]:
    return {
        (e["origin"]["kind"], e["origin"]["id"], e["made"]["kind"], e["made"]["id"])
        for e in graph["edges"]
    }


async def test_the_walk_back_leads_to_what_a_record_was_when_it_was_frozen(
    scientist: httpx2.AsyncClient, served: Served, resources: Resources, run_jobs: RunJobs
) -> None:
    story = await served()
    garden(resources, "9.9")
    assert (await scientist.post(f"{API}/sources/garden/run", json={})).is_success
    await run_jobs()
    path = f"predictions/{story['prediction']['prediction_id']}/trace"
    first, second, *_ = (await read(scientist, path))["records"]
    assert (first["has_changed"], second["has_changed"]) == (True, False)
    assert first["run_id"] == story["run"]["run_id"]
    then = await read(scientist, first["raw"])
    assert then["payload"]["length"] == "1.5"
    now = await read(scientist, f"data/{first['record_id']}/raw")
    assert now["payload"]["length"] == "9.9"
    # The run that came after the data set version is none of its origins.
    up = await read(scientist, f"lineage/dataset_version/{story['dataset']['id']}@1")
    assert {one["id"] for one in up["nodes"] if one["kind"] == "run"} == {story["run"]["run_id"]}


async def test_a_record_that_was_erased_is_told_as_gone(
    scientist: httpx2.AsyncClient, served: Served, run_jobs: RunJobs
) -> None:
    story = await served()
    path = f"predictions/{story['prediction']['prediction_id']}/trace"
    first = (await read(scientist, path))["records"][0]
    assert (await scientist.delete(f"{API}/data/{first['record_id']}")).status_code == 202
    await run_jobs()
    gone, kept, *_ = (await read(scientist, path))["records"]
    assert (gone["record_id"], gone["is_kept"], gone["raw"]) == (first["record_id"], False, None)
    assert kept["is_kept"]


async def test_replayed_records_lead_back_through_the_replay_to_the_first_payloads(
    scientist: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs
) -> None:
    garden(resources, "1.5")
    assert (await scientist.post(f"{API}/sources", json=SOURCE)).is_success
    first = (await scientist.post(f"{API}/sources/garden/run", json={})).json()["run_id"]
    await run_jobs()
    change = {"mapping": {"title": "species"}}
    assert (await scientist.patch(f"{API}/sources/garden", json=change)).is_success
    replay = (await scientist.post(f"{API}/sources/garden/replay", json={})).json()["run_id"]
    await run_jobs()
    up = await read(scientist, f"lineage/records/{replay}", direction="up")
    assert ends(up) == {
        ("run", replay, "records", replay),
        ("source", "garden", "run", replay),
        ("raw", first, "run", replay),
        ("run", first, "raw", first),
        ("source", "garden", "run", first),
    }
    again = (await scientist.post(f"{API}/sources/garden/run", json={})).json()["run_id"]
    await run_jobs()
    asked = await scientist.post(f"{API}/sources/garden/replay", json={"since_run": again})
    await run_jobs()
    up = await read(scientist, f"lineage/run/{asked.json()['run_id']}", direction="up")
    assert {one["id"] for one in up["nodes"] if one["kind"] == "raw"} == {again}


async def test_a_dry_run_came_of_nothing_and_left_nothing(
    scientist: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs
) -> None:
    garden(resources, "1.5")
    assert (await scientist.post(f"{API}/sources", json=SOURCE)).is_success
    asked = await scientist.post(f"{API}/sources/garden/run", json={"dry_run": True})
    await run_jobs()
    for path in ("lineage/source/garden", f"lineage/run/{asked.json()['run_id']}"):
        assert (await read(scientist, path))["edges"] == []


async def test_a_model_from_a_file_is_walked_back_to_the_file(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await store_version(resources, scientist)
    await promote(scientist)
    made = (await scientist.post(f"{API}/models/flowers/predict", json=ROW)).json()
    trace = await read(scientist, f"predictions/{made['prediction_id']}/trace")
    assert (trace["origin"]["kind"], trace["records"], trace["runs"]) == ("upload", [], [])
    up = await read(scientist, f"lineage/prediction/{made['prediction_id']}", direction="up")
    assert ("upload", trace["origin"]["sha256"]) in {(o, i) for o, i, *_ in ends(up)}
