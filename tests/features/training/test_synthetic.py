"""Training on data that are made up when they are first named."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from astralytiq.features.datasets.models import DatasetVersion
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import upload

pytestmark = pytest.mark.anyio

NAMED = "synthetic:drowsiness?rows=200&seed=3"
TRAINING: dict[str, Any] = {
    "algorithm": "random_forest",
    "dataset_id": NAMED,
    "target": "state",
    "params": {"n_estimators": 5},
    "model_name": "drowsiness_detector",
}


@pytest.fixture
async def owner(sign_in: SignIn, mlflow: Tracker) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


async def asked(client: httpx2.AsyncClient, **change: Any) -> httpx2.Response:
    return await client.post("/api/v1/ml/train", json={**TRAINING, **change})


async def sets(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v1/datasets")).json()
    return found


async def succeeded(client: httpx2.AsyncClient, run_jobs: RunJobs, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    await run_jobs()
    job = (await client.get(answer.headers["location"])).json()
    assert job["status"] == "succeeded", job["error"]
    result: dict[str, Any] = job["result"]
    return result


async def test_a_detector_is_trained_on_a_data_set_like_any_other_and_reproduced(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    answer = await asked(owner)
    result = await succeeded(owner, run_jobs, answer)
    assert "no claim of safety" in answer.json()["message"]
    (made,) = await sets(owner)
    assert made["name"] == "drowsiness (synthetic, 200 rows, seed 3)"
    assert (made["type"], made["rows"], made["status"]) == ("synthetic", 200, "ready")
    assert "No person was measured" in made["description"]
    assert made["quality_score"] is not None
    assert answer.json()["dataset"] == result["dataset"] == f"{made['id']}@1"
    assert answer.json()["features"][-1] == "longest_closure_ms"
    (version,) = (await owner.get(f"/api/v1/datasets/{made['id']}/versions")).json()
    assert version["origin"] == {
        "kind": "synthetic", "name": "drowsiness", "generator": 1, "rows": 200, "seed": 3,
    }  # fmt: skip
    path = "/api/v1/models/drowsiness_detector/versions/1/reproduce"
    assert (await succeeded(owner, run_jobs, await owner.post(path)))["reproduced"] is True
    graph = await owner.get(f"/api/v1/datasets/{made['id']}/lineage", params={"direction": "up"})
    names = [node["name"] for node in graph.json()["nodes"]]
    assert "generators/drowsiness@1" in names


async def test_it_is_made_once_for_the_whole_team(
    owner: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    other = await sign_in(Role.data_scientist)
    first, second = (await asked(owner)).json(), (await asked(other, model_name="b")).json()
    assert first["dataset"] == second["dataset"]
    other_size = (await asked(owner, dataset_id="synthetic:drowsiness?rows=100")).json()
    assert other_size["dataset"] != first["dataset"]
    assert len(await sets(owner)) == 2


async def test_two_who_name_it_at_the_same_time_make_one(
    owner: httpx2.AsyncClient, resources: Resources
) -> None:
    answers = await asyncio.gather(*(asked(owner, model_name=f"m{n}") for n in range(3)))
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.json()["dataset"] for answer in answers}) == 1
    files = list(resources.settings.home.rglob("*.parquet"))
    assert len(files) == 1


async def test_an_idempotency_key_makes_one_job(owner: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    answers = [await owner.post("/api/v1/ml/train", json=TRAINING, headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    jobs = (await owner.get("/api/v1/jobs")).json()
    assert [job["kind"] for job in jobs] == ["training.run"]


async def test_what_another_generator_or_a_person_added_is_not_taken_for_it(
    owner: httpx2.AsyncClient, resources: Resources
) -> None:
    first = (await asked(owner)).json()["dataset"]
    dataset_id = first.partition("@")[0]
    sent = await upload(owner, path=f"{dataset_id}/versions/upload")
    assert sent.status_code in (200, 201), sent.text
    assert (await asked(owner)).json()["dataset"] == first
    older = {"kind": "synthetic", "name": "drowsiness", "generator": 0, "rows": 200, "seed": 3}
    await resources.database.write(
        lambda session: session.execute(update(DatasetVersion).values(origin=older))
    )
    assert (await asked(owner)).json()["dataset"] == f"{dataset_id}@3"


async def test_one_that_was_deleted_is_made_anew(owner: httpx2.AsyncClient) -> None:
    first = (await asked(owner)).json()["dataset"]
    await owner.delete(f"/api/v1/datasets/{first.partition('@')[0]}")
    assert (await asked(owner)).json()["dataset"] != first


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dataset_id": "synthetic:cats"}, "There is no generator 'cats'"),
    ({"dataset_id": "synthetic:drowsiness?rows=99"}, "rows: Input should be greater"),
    ({"dataset_id": "synthetic:drowsiness?rows=20001"}, "rows: Input should be less"),
    ({"dataset_id": "synthetic:drowsiness?seed=-1"}, "seed: Input should be greater"),
    ({"dataset_id": "synthetic:drowsiness?cars=2"}, "cars: Extra inputs"),
    ({"dataset_id": "synthetic:drowsiness?rows"}, "write synthetic:drowsiness?rows=4000"),
    ({"target": "mood"}, "is no column; there are ['blinks_per_minute'"),
    ({"algorithm": "magic"}, "algorithm 'magic' is unknown"),
    ({"features": ["speed"]}, "feature 'speed' is no column"),
]


async def test_what_cannot_be_trained_makes_nothing_up(owner: httpx2.AsyncClient) -> None:
    for change, words in REFUSED:
        answer = await asked(owner, **change)
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
    assert await sets(owner) == []


async def test_who_may_not_train_or_make_data_sets_makes_nothing(
    owner: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    assert (await asked(client)).status_code == 401
    assert (await asked(await sign_in(Role.analyst))).status_code == 403
    key = await owner.post("/api/v1/api-keys", json={"name": "k", "scopes": ["models:write"]})
    assert key.status_code == 201, key.text
    by_key = {"X-API-Key": key.json()["key"]}
    refused = await client.post("/api/v1/ml/train", json=TRAINING, headers=by_key)
    assert (refused.status_code, "datasets:write" in refused.text) == (403, True)
    assert await sets(owner) == []
    await asked(owner)
    taken = await client.post("/api/v1/ml/train", json=TRAINING, headers=by_key)
    assert taken.status_code == 202  # It is there, and may be read.


async def test_a_name_that_is_taken_is_told(owner: httpx2.AsyncClient) -> None:
    await upload(owner)
    (other,) = await sets(owner)
    assert other["type"] == "csv"
    renamed = "drowsiness (synthetic, 200 rows, seed 3)"
    files = {"file": ("a.csv", b"a,b\n1,2\n", "text/csv")}
    await owner.post("/api/v1/datasets/upload", files=files, data={"name": renamed})
    refused = await asked(owner)
    assert (refused.status_code, "was not made so" in refused.text) == (409, True)
