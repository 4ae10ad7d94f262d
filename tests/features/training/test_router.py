"""What a caller meets at the training doors."""

from typing import Any

import httpx2
import pytest

from astralytiq import __version__
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.engines.models import contract
from astralytiq.engines.models.catalogue import ALGORITHMS, adapter_of
from tests.conftest import SignIn
from tests.features.datasets.factories import upload
from tests.features.registry.factories import store_version

pytestmark = pytest.mark.anyio

TRAIN = "/api/v1/ml/train"


@pytest.fixture
async def scientist(sign_in: SignIn) -> httpx2.AsyncClient:
    """Somebody with a data set."""
    client = await sign_in(Role.data_scientist)
    content = "length,width,day,species,_id\n1,2.5,2024-01-31,a,1\n"
    await upload(client, content)
    return client


async def dataset_of(client: httpx2.AsyncClient) -> int:
    found: int = (await client.get("/api/v1/datasets")).json()[0]["id"]
    return found


async def asked(client: httpx2.AsyncClient, **change: Any) -> httpx2.Response:
    body = {
        "algorithm": "random_forest",
        "dataset_id": await dataset_of(client),
        "target": "species",
        "model_name": "flowers",
        **change,
    }
    return await client.post(TRAIN, json=body)


async def test_everybody_may_ask_what_can_be_trained(client: httpx2.AsyncClient) -> None:
    for url in ("/api/v1/ml", "/api/v1/ml/"):
        answer = await client.get(url)
        assert answer.status_code == 200
    found = answer.json()
    assert found["version"] == __version__
    names = [algorithm["name"] for algorithm in found["available_algorithms"]]
    assert names == list(ALGORITHMS)
    for algorithm in found["available_algorithms"]:
        assert adapter_of(algorithm["name"])
        assert algorithm["status"] == "available"
        own = f"python -m ml_core.{algorithm['name']} "
        others = f"--algorithm {algorithm['name']}"
        assert own in algorithm["cli_command"] or others in algorithm["cli_command"]
        assert {"name", "default", "description"} <= set(algorithm["parameters"][0])


async def test_a_training_is_accepted_as_a_job_on_the_version_of_that_moment(
    scientist: httpx2.AsyncClient,
) -> None:
    answer = await asked(scientist)
    assert answer.status_code == 202
    found = answer.json()
    assert (found["status"], found["model_name"]) == ("queued", "flowers")
    assert found["features"] == ["length", "width"]
    assert found["dataset"] == f"{await dataset_of(scientist)}@1"
    assert answer.headers["location"] == f"/api/v1/jobs/{found['job_id']}"
    job = (await scientist.get(answer.headers["location"])).json()
    assert (job["kind"], job["arguments"]["dataset"]) == ("training.run", found["dataset"])


async def test_everything_wrong_is_told_at_once(scientist: httpx2.AsyncClient) -> None:
    answer = await asked(
        scientist,
        params={"n_estimators": 0, "trees": 3},
        target="kind",
        features=["length", "day", "colour", "length"],
        model_name="../flowers",
    )
    assert answer.status_code == 422
    assert [error["loc"][1:] for error in answer.json()["errors"]] == [
        ["params", "n_estimators"],
        ["params", "trees"],
        ["target"],
        ["features", 1],
        ["features", 2],
        ["features", 3],
        ["model_name"],
    ]
    assert (await scientist.get("/api/v1/jobs")).json() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"algorithm": "magic"}, "'kmeans', "),
        ({"target": "day"}, "not a label"),
        ({"target": "length", "features": ["length"]}, "is the target"),
        ({"target": None}, "name the column to predict"),
        ({"algorithm": "kmeans"}, "clustering has no target"),
        ({"test_size": 1}, "less than 1"),
        ({"algorithm": "linear_regression"}, "is a string, not a number"),
        ({"cv_folds": 1}, "greater than or equal to 2"),
        ({"cv_folds": 21}, "less than or equal to 20"),
        ({"algorithm": "kmeans", "target": None, "cv_folds": 3}, "leave cv_folds out"),
        ({"search": {}}, "exactly one of grid and random"),
        ({"search": {"grid": {"max_depth": [1]}, "random": {"max_depth": [1]}}}, "exactly one"),
        ({"search": {"grid": {}}}, "at least 1 item"),
        ({"search": {"grid": {"max_depth": []}}}, "at least 1 item"),
        ({"search": {"grid": {"max_depth": [2, 0]}}}, "search.grid.max_depth: must be one of"),
        ({"search": {"grid": {"depth": [2]}}}, "search.grid.depth: unknown parameter"),
        (
            {"search": {"grid": {"max_depth": list(range(1, 12)), "max_bins": list(range(2, 12))}}},
            "110 combinations are more than 100",
        ),
        ({"search": {"random": {"n_iter": 5}}}, "name 1 to 8 parameters"),
        ({"search": {"random": {"max_depth": [1], "n_iter": 101}}}, "less than or equal to 100"),
        ({"search": {"random": {"max_depth": 3}}}, "valid list"),
        ({"params": {"max_depth": 3}, "search": {"grid": {"max_depth": [2]}}}, "in params too"),
        (
            {"algorithm": "kmeans", "target": None, "search": {"grid": {"n_clusters": [2]}}},
            "leave search out",
        ),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"gpu": True}, "Extra inputs"),
        ({"dataset_id": "flowers"}, "write '7@2'"),
        ({"dataset_id": "1@"}, "write '7@2'"),
        ({"dataset_id": -7}, "write '7@2'"),
        ({"experiment": ""}, "at least 1 character"),
    ],
)
async def test_one_wrong_field_is_told_with_what_it_may_be(
    scientist: httpx2.AsyncClient, change: dict[str, Any], words: str
) -> None:
    answer = await asked(scientist, **change)
    assert (answer.status_code, words in answer.json()["detail"]) == (422, True)


async def test_an_algorithm_without_its_library_is_listed_and_refused_with_the_remedy(
    scientist: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "find_spec", lambda module: None)
    contract.status_of.cache_clear()
    try:
        found = (await scientist.get("/api/v1/ml")).json()["available_algorithms"]
        answer = await asked(scientist, algorithm="logistic_regression")
    finally:
        contract.status_of.cache_clear()
    statuses = {algorithm["name"]: algorithm["status"] for algorithm in found}
    assert statuses["kmeans"] == "available"
    assert statuses["logistic_regression"].startswith("needs the extra sklearn")
    assert answer.status_code == 422
    assert "pip install 'astralytiq[sklearn]'" in answer.json()["detail"]


async def test_a_data_set_that_is_not_there_is_not_found(scientist: httpx2.AsyncClient) -> None:
    dataset_id = await dataset_of(scientist)
    for reference in (dataset_id + 1, f"{dataset_id}@2", f"{dataset_id}@{9**18}"):
        assert (await asked(scientist, dataset_id=reference)).status_code == 404


async def test_somebody_elses_model_gets_no_version_from_others(
    scientist: httpx2.AsyncClient, sign_in: SignIn, resources: Resources
) -> None:
    other = await sign_in(Role.data_scientist)
    await store_version(resources, other)
    assert (await asked(scientist, dataset_id=1)).status_code == 403
    admin = await sign_in(Role.admin)
    assert (await asked(admin, dataset_id=1)).status_code == 202


async def test_training_needs_a_data_scientist(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    assert (await asked(await sign_in(Role.analyst), dataset_id=1)).status_code == 403
    assert (await client.post(TRAIN, json={})).status_code in (401, 422)
    body = {"algorithm": "a", "dataset_id": 1, "target": "b", "model_name": "c"}
    assert (await client.post(TRAIN, json=body)).status_code == 401


async def test_an_idempotency_key_makes_one_job(scientist: httpx2.AsyncClient) -> None:
    body = {
        "algorithm": "decision_tree",
        "dataset_id": await dataset_of(scientist),
        "target": "species",
        "model_name": "flowers",
    }
    keys = {"Idempotency-Key": "once"}
    answers = [await scientist.post(TRAIN, json=body, headers=keys) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len((await scientist.get("/api/v1/jobs")).json()) == 1
