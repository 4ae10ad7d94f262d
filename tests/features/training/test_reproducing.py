"""A version is trained again and its file compared, byte for byte."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from astralytiq.features.registry.models import ModelVersion
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import upload
from tests.features.registry.factories import store_version

pytestmark = pytest.mark.anyio

REPRODUCE = "/api/v1/models/flowers/versions/1/reproduce"
TRAINING = {
    "algorithm": "random_forest",
    "target": "species",
    "params": {"n_estimators": 5},
    "model_name": "flowers",
    "seed": 3,
}


@pytest.fixture
async def owner(sign_in: SignIn, mlflow: Tracker) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


async def reproduced(client: httpx2.AsyncClient, run_jobs: RunJobs) -> dict[str, Any]:
    asked = await client.post(REPRODUCE)
    assert asked.status_code == 202, asked.text
    await run_jobs()
    job = (await client.get(asked.headers["location"])).json()
    assert job["status"] == "succeeded", job["error"]
    result: dict[str, Any] = job["result"]
    return result


@pytest.mark.parametrize(
    "asked",
    [
        {"algorithm": "random_forest"},
        {"algorithm": "xgboost", "params": {"n_estimators": 5, "subsample": 0.5}},
        {"algorithm": "gradient_boosting_regressor", "target": "width"},
        {"algorithm": "ridge_regression", "target": "width", "params": {}},
    ],
    ids=lambda asked: asked["algorithm"],
)
async def test_a_training_comes_out_the_same_byte_for_byte(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources, asked: dict[str, Any]
) -> None:
    dataset_id = (await upload(owner)).json()["id"]
    answer = await owner.post(
        "/api/v1/ml/train", json={**TRAINING, **asked, "dataset_id": dataset_id}
    )
    assert answer.status_code == 202, answer.text
    await run_jobs()
    await upload(owner)  # The same rows once more, as another data set.
    found = await reproduced(owner, run_jobs)
    assert (found["reproduced"], found["differences"]) == (True, [])
    version = (await owner.get("/api/v1/models/flowers/versions/1")).json()
    assert found["sha256"] == version["sha256"]
    assert {"astralytiq", "kernels", "packages", "python", "system"} == set(version["environment"])


async def test_what_comes_out_otherwise_is_told_with_what_differs(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources
) -> None:
    """Here: trained on all of the rows, by another NumPy, and before systems were kept."""
    await store_version(resources, owner)
    elsewhere = {"packages": {"numpy": "1.0"}}
    await resources.database.write(
        lambda session: session.execute(update(ModelVersion).values(environment=elsewhere))
    )
    found = await reproduced(owner, run_jobs)
    assert found["reproduced"] is False
    assert found["sha256"] != found["expected"]
    assert any(words.startswith("numpy was 1.0, is ") for words in found["differences"])
    assert any(words.startswith("kernels was absent, is ") for words in found["differences"])


async def test_only_who_may_train_may_ask_for_it(
    owner: httpx2.AsyncClient, resources: Resources, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await store_version(resources, owner)
    analyst = await sign_in(Role.analyst)
    assert (await analyst.post(REPRODUCE)).status_code == 403
    assert (await client.post(REPRODUCE)).status_code == 401
    assert (await owner.post(REPRODUCE.replace("/1/", "/9/"))).status_code == 404
