"""From records to an answer, and from the answer back to the records."""

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import freeze, store_records

pytestmark = pytest.mark.anyio


async def test_a_prediction_is_walked_back_to_the_records_it_was_learnt_from(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs, mlflow: Tracker
) -> None:
    await store_records(resources, run_id="run-of-ingestion")
    scientist: httpx2.AsyncClient = await sign_in(Role.data_scientist)
    dataset_id = await freeze(scientist, run_jobs, "garden")

    asked = await scientist.post(
        "/api/v1/ml/train",
        json={
            "algorithm": "random_forest",
            "dataset_id": f"{dataset_id}@1",
            "target": "species",
            "params": {"n_estimators": 10},
            "seed": 5,
            "model_name": "flowers",
        },
    )
    assert asked.json()["features"] == ["length", "width"]  # not _record_id
    await run_jobs()
    result = (await scientist.get(asked.headers["location"])).json()["result"]

    url = "/api/v1/models/flowers"
    stage = f"{url}/versions/{result['version']}/stage"
    assert (await scientist.post(stage, json={"stage": "production"})).status_code == 200
    rows = {"records": [{"length": 1.0, "width": 0}]}
    answer = (await scientist.post(f"{url}/predict", json=rows)).json()
    assert answer["predictions"] == ["setosa"]

    trace = (await scientist.get(f"/api/v1/predictions/{answer['prediction_id']}/trace")).json()
    assert trace["model"]["version"] == result["version"]
    assert trace["training"]["job_id"] == asked.json()["job_id"]
    assert trace["training"]["mlflow_run_id"] == result["mlflow_run_id"]
    assert trace["training"]["seed"] == 5
    assert (trace["dataset"]["id"], trace["dataset"]["version"]) == (dataset_id, 1)
    assert trace["origin"] == {
        "kind": "records",
        "source": "flowers",
        "run_ids": ["run-of-ingestion"],
    }
    preview = await scientist.get(f"/api/v1/datasets/{dataset_id}/preview", params={"limit": 1})
    record_id = preview.json()["rows"][0]["_record_id"]
    record = (await scientist.get(f"/api/v1/data/{record_id}")).json()
    assert record["metadata"]["species"] == "setosa"

    await run_jobs()
    mirrored = mlflow.client().get_model_version_by_alias("flowers", "production")
    assert mirrored.run_id == result["mlflow_run_id"]
    await scientist.post(stage, json={"stage": "archived"})
    await run_jobs()
    assert set(mlflow.client().get_registered_model("flowers").aliases) == {"newest"}
