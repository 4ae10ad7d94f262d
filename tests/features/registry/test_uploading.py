"""A model that was trained elsewhere is sent as a file, and becomes a version or is refused."""

import json
import pickle
import threading
from typing import Any

import httpx2
import numpy as np
import pytest
import xgboost
from pydantic import ValidationError
from sqlalchemy import select

from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.engines.models import onnxmodel
from astralytiq.engines.models.catalogue import adapter_of
from astralytiq.features.registry import taking_jobs, uploading
from astralytiq.features.registry.schemas_uploads import UploadSignature
from ml_core.onnx.graph import FLOAT, graph, model, node, value_info
from tests.conftest import RunJobs, SignIn
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

VERSIONS = "/api/v1/models/elsewhere/versions"
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 2))
LABELS = np.where(ROWS[:, 0] > 0, "high", "low")
SIGNATURE = {
    "features": [{"name": "length"}, {"name": "width"}],
    "task": "classification",
    "target": "level",
    "classes": ["high", "low"],
}


def forest() -> bytes:
    adapter = adapter_of("random_forest")
    trained = adapter.train(ROWS, LABELS, {"n_estimators": 5}, 0, lambda done, total: None)
    return adapter.to_onnx(trained)


def booster() -> bytes:
    rows = xgboost.DMatrix(ROWS, LABELS == "low", nthread=1)
    params = {"objective": "binary:logistic", "nthread": 1}
    return bytes(xgboost.train(params, rows, 3).save_raw("ubj"))


async def send(
    client: httpx2.AsyncClient, content: bytes, signature: Any = SIGNATURE
) -> httpx2.Response:
    told = signature if isinstance(signature, str) else json.dumps(signature)
    files = {"file": ("model.bin", content)}
    return await client.post(VERSIONS, files=files, data={"signature": told})


async def job_of(client: httpx2.AsyncClient, asked: httpx2.Response, run_jobs: RunJobs) -> Any:
    assert asked.status_code == 202, asked.text
    await run_jobs()
    return (await client.get(asked.headers["location"])).json()


@pytest.fixture
async def owner(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


@pytest.mark.parametrize(
    ("content", "algorithm"), [(forest(), "onnx"), (booster(), "xgboost")], ids=["onnx", "ubj"]
)
async def test_a_file_becomes_a_version_that_predicts(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, content: bytes, algorithm: str
) -> None:
    job = await job_of(owner, await send(owner, content), run_jobs)
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["result"] == {"model": "elsewhere", "version": 1, "algorithm": algorithm}
    version = (await owner.get(f"{VERSIONS}/1")).json()
    assert (version["task"], version["target"]) == ("classification", "level")
    assert (version["dataset"], version["seed"], version["metrics"]) == ("", None, {})

    assert (await promote(owner, name="elsewhere")).status_code == 200
    records = [{"length": length, "width": 0.0} for length in (2.0, -2.0)]
    answer = await owner.post("/api/v1/models/elsewhere/predict", json={"records": records})
    assert answer.json()["predictions"] == ["high", "low"]
    wrong = await owner.post("/api/v1/models/elsewhere/predict", json={"records": [{"length": 1}]})
    assert wrong.status_code == 422
    await run_jobs()  # What is counted of predictions afterwards.
    watched = await owner.get("/api/v1/models/elsewhere/monitoring")
    assert watched.status_code == 200, watched.text
    prediction = answer.json()["prediction_id"]
    traced = await owner.get(f"/api/v1/predictions/{prediction}/trace")
    assert (traced.status_code, "not trained here" in traced.json()["detail"]) == (409, True)
    (found,) = (await owner.get("/api/v1/models")).json()
    assert (found["type"], found["status"]) == (algorithm, "production")


async def test_a_file_that_comes_again_with_its_key_makes_one_job(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    owner.headers["Idempotency-Key"] = "once"
    first, again = [await send(owner, booster()) for _ in range(2)]
    assert (again.status_code, again.json()) == (202, first.json())
    job = await job_of(owner, again, run_jobs)
    assert job["result"]["version"] == 1
    assert (await owner.get(VERSIONS)).headers["x-total-count"] == "1"
    refused = await send(owner, booster(), {**SIGNATURE, "target": "mood"})
    assert (refused.status_code, "another body" in refused.json()["detail"]) == (422, True)


async def test_a_model_from_elsewhere_does_not_hold_up_others(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    run = onnxmodel.run

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return run(*arguments)

    monkeypatch.setattr(onnxmodel, "run", noted)
    await job_of(owner, await send(owner, forest()), run_jobs)
    answer = await owner.post(f"{VERSIONS}/1/predict", json={"instances": [[1.0, 2.0]]})
    assert answer.status_code == 200
    assert threads
    assert threading.current_thread() not in threads


async def test_rows_that_a_model_fails_at_are_refused_in_words(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    """This one takes the root of each number of a row, which small ones do not have."""
    shifted = node("Add", ["X", "ten"], ["above"])
    rooted, sums = node("Sqrt", ["above"], ["y"]), node("ReduceSum", ["y", "axis"], ["z"])
    constants = {"ten": np.full(1, 10, np.float32), "axis": np.array([1])}
    inputs = [value_info("X", FLOAT, ["rows", 2])]
    made = graph(
        "g", [shifted, rooted, sums], inputs, [value_info("z", FLOAT, ["r", 1])], constants
    )
    signature = {**SIGNATURE, "task": "regression", "classes": None}
    await job_of(owner, await send(owner, model(made), signature), run_jobs)
    for length, status in ((6.0, 200), (-60.0, 422)):
        rows = {"instances": [[length, -1.0]]}
        answer = await owner.post(f"{VERSIONS}/1/predict", json=rows)
        assert answer.status_code == status, answer.text
    assert "no answer to these rows: it answers with something" in answer.json()["detail"]


async def test_it_leaves_as_it_came_and_its_lineage_begins_with_the_file(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources
) -> None:
    content = forest()
    asked = await send(owner, content)
    await job_of(owner, asked, run_jobs)
    for form in ("native", "onnx"):
        exported = await owner.get(f"{VERSIONS}/1/export", params={"format": form})
        assert exported.content.startswith(content)
    edges = (await owner.get("/api/v1/lineage/model_version/elsewhere@1")).json()
    assert f"uploads/{asked.json()['sha256']}" in json.dumps(edges)
    refused = await owner.post(f"{VERSIONS}/1/reproduce")
    assert (refused.status_code, "not trained here" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps({"a": 1}), b"PK\x03\x04", b'{"learner": 1}'],
    ids=["pickle", "zip", "json"],
)
async def test_23_what_is_surely_no_model_of_ours_is_refused_at_the_door(
    owner: httpx2.AsyncClient, content: bytes
) -> None:
    refused = await send(owner, content)
    assert refused.status_code == 415
    assert "ONNX" in refused.json()["detail"]
    assert (await owner.get("/api/v1/jobs")).json() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"nothing of the kind", "no ONNX file"), (booster()[:-20], "ends too early")],
    ids=["noise", "half a file"],
)
async def test_23_what_cannot_be_served_is_refused_by_the_job_and_not_kept(
    owner: httpx2.AsyncClient,
    run_jobs: RunJobs,
    resources: Resources,
    content: bytes,
    words: str,
) -> None:
    job = await job_of(owner, await send(owner, content), run_jobs)
    assert job["status"] == "failed"
    assert words in job["error"]
    async with resources.database.reading() as session:
        asked_for = [held.arguments for held in await session.scalars(select(Job))]
    assert (await owner.get("/api/v1/models/elsewhere")).status_code == 404
    (kept,) = [found["key"] for found in asked_for]
    assert not resources.storage.exists(kept)
    assert (await owner.post(f"/api/v1/jobs/{job['job_id']}/retry")).status_code == 202
    await run_jobs()
    again = (await owner.get(f"/api/v1/jobs/{job['job_id']}")).json()
    assert again["error"] == "The file was refused before and is not kept: send it again."


async def test_23_a_file_that_ends_the_process_that_tries_it_ends_no_other(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_jobs, "PROGRAM", "astralytiq.engines.models.of_nobody")
    job = await job_of(owner, await send(owner, forest()), run_jobs)
    assert job["status"] == "failed"
    assert "ended the process that tried it" in job["error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": []}, "at least 1 item"),
        ({"features": [{"name": "a"}, {"name": "a"}]}, "named twice"),
        ({"features": [{"name": "a", "type": "string"}]}, "float64"),
        ({"classes": None}, "classes belong to classification"),
        ({"classes": ["high", "high"]}, "named twice"),
        ({"classes": [["high"], "low"]}, "valid string"),
        ({"task": "regression"}, "classes belong to classification"),
        ({"task": "clustering"}, "'classification' or 'regression'"),
        ({"magic": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_signature_is_told_with_its_fault(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        UploadSignature.model_validate({**SIGNATURE, **change})


async def test_a_signature_that_does_not_fit_is_refused_with_the_place(
    owner: httpx2.AsyncClient,
) -> None:
    for signature in ("{length}", {**SIGNATURE, "task": "clustering"}):
        refused = await send(owner, forest(), signature)
        assert refused.status_code == 422
        (fault,) = refused.json()["errors"]
        assert fault["loc"][:2] == ["body", "signature"]


async def test_without_the_runtime_onnx_is_refused_with_the_remedy(
    owner: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "needs the extra onnx: pip install 'astralytiq[onnx]'"
    monkeypatch.setattr(uploading, "status_of", lambda algorithm: missing)
    refused = await send(owner, forest())
    assert (refused.status_code, missing in refused.json()["detail"]) == (503, True)
    assert (await send(owner, booster())).status_code == 202


async def test_only_who_may_change_models_sends_files_and_only_to_their_own(
    owner: httpx2.AsyncClient, resources: Resources, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await store_version(resources, owner, name="elsewhere")
    assert (await send(client, forest())).status_code == 401
    assert (await send(await sign_in(Role.analyst), forest())).status_code == 403
    stranger = await send(await sign_in(Role.data_scientist), forest())
    assert (stranger.status_code, "somebody else's" in stranger.json()["detail"]) == (403, True)
