"""What a caller meets at the predict doors."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.predictions.loaded import LoadedModels
from astralytiq.features.predictions.models import Prediction
from astralytiq.features.registry.models import ModelVersion
from tests.conftest import SignIn
from tests.factories import folder_of
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

PREDICT = "/api/v1/models/flowers/predict"
ROW = {"length": 1.0, "width": 0}
RECORDS = {"records": [ROW]}


@pytest.fixture
async def version(sign_in: SignIn, resources: Resources) -> ModelVersion:
    """One version, in production."""
    owner = await sign_in(Role.data_scientist)
    made = await store_version(resources, owner)
    await promote(owner)
    return made


@pytest.fixture
async def analyst(sign_in: SignIn, version: ModelVersion) -> httpx2.AsyncClient:
    return await sign_in(Role.analyst)


async def errors(client: httpx2.AsyncClient, body: Any) -> list[tuple[list[Any], str]]:
    answer = await client.post(PREDICT, json=body)
    assert answer.status_code == 422, answer.text
    return [(error["loc"][1:], error["type"]) for error in answer.json()["errors"]]


async def test_a_prediction_answers_labels_and_probabilities(analyst: httpx2.AsyncClient) -> None:
    answer = await analyst.post(PREDICT, json={"records": [ROW, {"length": 4, "width": 4}]})
    assert answer.status_code == 200
    found = answer.json()
    assert found["predictions"] == ["setosa", "virginica"]
    assert found["classes"] == ["setosa", "virginica"]
    for label, shares in zip(found["predictions"], found["probabilities"], strict=True):
        assert sum(shares) == pytest.approx(1)
        assert found["classes"][shares.index(max(shares))] == label
    assert (found["model"], found["version"]) == ("flowers", 1)
    assert found["latency_ms"] > 0


async def test_the_three_forms_of_rows_mean_the_same(analyst: httpx2.AsyncClient) -> None:
    bodies = [
        RECORDS,
        {"instances": [[1.0, 0]]},
        {"dataframe_split": {"columns": ["width", "length"], "data": [[0, 1.0]], "index": [0]}},
    ]
    answers = [(await analyst.post(PREDICT, json=body)).json() for body in bodies]
    assert len({str(answer["probabilities"]) for answer in answers}) == 1


async def test_everything_wrong_with_the_rows_is_told_at_once(analyst: httpx2.AsyncClient) -> None:
    rows = [
        ROW,
        {"length": "long", "width": None, "color": "red"},
        {"width": True},
        {"length": 10**400, "width": 0},
    ]
    assert await errors(analyst, {"records": rows}) == [
        (["records", 1, "color"], "unknown_feature"),
        (["records", 1, "length"], "not_a_number"),
        (["records", 1, "width"], "not_a_number"),
        (["records", 2, "length"], "missing"),
        (["records", 2, "width"], "not_a_number"),
        (["records", 3, "length"], "not_finite"),
    ]
    assert await errors(analyst, {"instances": [[1.0], [1.0, "NaN"], [1, 2, 3]]}) == [
        (["instances", 0], "wrong_width"),
        (["instances", 1, "width"], "not_a_number"),
        (["instances", 2], "wrong_width"),
    ]
    split = {"columns": ["length", "length", "color"], "data": [[1, 1, 1]]}
    assert await errors(analyst, {"dataframe_split": split}) == [
        (["dataframe_split", "columns", 2], "unknown_feature"),
        (["dataframe_split", "columns", 1], "duplicate"),
        (["dataframe_split", "data", 0, "width"], "missing"),
    ]


@pytest.mark.parametrize(
    "body", [{}, {**RECORDS, "instances": [[1, 0]]}, {"records": []}, {"rows": []}, []]
)
async def test_exactly_one_form_with_rows_is_needed(
    analyst: httpx2.AsyncClient, body: object
) -> None:
    assert (await analyst.post(PREDICT, json=body)).status_code == 422


async def test_nan_is_not_json(analyst: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"instances": [[NaN, 0]]}'
    assert (await analyst.post(PREDICT, content=body, headers=headers)).status_code == 422


async def test_many_rows_are_answered_in_order_and_too_many_refused(
    analyst: httpx2.AsyncClient,
) -> None:
    rows = [[1.0, 0], [4.0, 4]] * 5_000
    answer = await analyst.post(PREDICT, json={"instances": rows})
    assert answer.json()["predictions"] == ["setosa", "virginica"] * 5_000
    refused = await analyst.post(PREDICT, json={"instances": [*rows, [1.0, 0]]})
    assert (refused.status_code, "10001 rows" in refused.json()["detail"]) == (422, True)


async def test_a_version_that_is_named_serves_without_promotion(
    sign_in: SignIn, resources: Resources
) -> None:
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    refused = await owner.post(PREDICT, json=RECORDS)
    assert refused.status_code == 409
    assert "/versions/1/stage" in refused.json()["detail"]
    url = "/api/v1/models/flowers/versions/{}/predict"
    assert (await owner.post(url.format(1), json=RECORDS)).json()["version"] == 1
    assert (await owner.post(url.format(2), json=RECORDS)).status_code == 404
    unknown = await owner.post("/api/v1/models/nobody/predict", json=RECORDS)
    assert unknown.status_code == 404


async def test_requests_are_counted_and_timed(analyst: httpx2.AsyncClient) -> None:
    answers = [(await analyst.post(PREDICT, json=RECORDS)).json() for _ in range(4)]
    (model,) = (await analyst.get("/api/v1/models")).json()
    assert model["requests_per_day"] == 4.0
    mean = sum(answer["latency_ms"] for answer in answers) / 4
    assert model["avg_latency_ms"] == pytest.approx(mean, abs=0.001)


async def test_predictions_at_the_same_moment_are_all_kept(
    analyst: httpx2.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(*(analyst.post(PREDICT, json=RECORDS) for _ in range(20)))
    assert len({answer.json()["prediction_id"] for answer in answers}) == 20
    async with database.reading() as session:
        assert await session.scalar(select(func.count(Prediction.id))) == 20
        assert await session.scalar(select(ModelVersion.served_count)) == 20


async def test_a_request_that_comes_again_with_its_key_gets_the_first_answer(
    analyst: httpx2.AsyncClient, sign_in: SignIn, database: Database
) -> None:
    async def ask(body: Any, path: str = PREDICT, key: str = "once") -> httpx2.Response:
        return await analyst.post(path, json=body, headers={"Idempotency-Key": key})

    answers = await asyncio.gather(*(ask(RECORDS) for _ in range(3)))
    answers.append(await ask({"instances": [[1.0, 0]]}))
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    refused = await ask({"instances": [[2.0, 0]]})
    assert (refused.status_code, "another body" in refused.json()["detail"]) == (422, True)
    assert (await ask(RECORDS, key="x" * 256)).status_code == 422
    others = [await ask(RECORDS, "/api/v1/models/flowers/versions/1/predict")]
    others.append(await ask(RECORDS, key="twice"))
    stranger = await sign_in(Role.analyst)
    stranger.headers["Idempotency-Key"] = "once"
    others.append(await stranger.post(PREDICT, json=RECORDS))
    ids = {answer.json()["prediction_id"] for answer in (*answers, *others)}
    async with database.reading() as session:
        assert len(ids) == await session.scalar(select(func.count(Prediction.id))) == 4
    seen = await analyst.get(f"/api/v1/predictions/{answers[0].json()['prediction_id']}")
    assert seen.status_code == 200


async def test_23_a_damaged_model_file_is_never_loaded_and_the_refusal_is_on_record(
    analyst: httpx2.AsyncClient, version: ModelVersion, resources: Resources
) -> None:
    path = folder_of(resources) / version.storage_key
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    answer = await analyst.post(PREDICT, json=RECORDS)
    assert (answer.status_code, "damaged" in answer.json()["detail"]) == (409, True)
    path.unlink()
    assert (await analyst.post(PREDICT, json=RECORDS)).status_code == 409
    async with resources.database.reading() as session:
        query = select(AuditEntry.outcome).where(AuditEntry.action == "model.file_refused")
        assert (await session.scalars(query)).all() == ["refused", "refused"]


async def test_only_the_models_used_last_stay_loaded() -> None:
    kept = LoadedModels(2)
    kept.put(1, "first")
    kept.put(2, "second")
    assert kept.get(1) == "first"
    kept.put(3, "third")
    assert [kept.get(number) for number in (1, 2, 3)] == ["first", None, "third"]


async def test_a_prediction_is_seen_by_its_owner_and_admins_only(
    analyst: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    made = (await analyst.post(PREDICT, json=RECORDS)).json()
    url = f"/api/v1/predictions/{made['prediction_id']}"
    found = (await analyst.get(url)).json()
    assert found["inputs"] == {"columns": ["length", "width"], "data": [[1.0, 0.0]]}
    assert found["outputs"]["predictions"] == made["predictions"]
    other, admin = await sign_in(Role.data_scientist), await sign_in(Role.admin)
    for path in (url, f"{url}/trace"):
        assert (await admin.get(path)).status_code == 200
        assert (await other.get(path)).status_code == 404
        assert (await client.get(path)).status_code == 401
    for unknown in ("x", "%00"):
        assert (await analyst.get(f"/api/v1/predictions/{unknown}")).status_code == 404


async def test_a_trace_leads_back_to_the_upload_also_when_the_set_is_deleted(
    analyst: httpx2.AsyncClient, version: ModelVersion, sign_in: SignIn
) -> None:
    made = (await analyst.post(PREDICT, json=RECORDS)).json()
    dataset_id = version.dataset.split("@")[0]
    admin = await sign_in(Role.admin)
    assert (await admin.delete(f"/api/v1/datasets/{dataset_id}")).status_code == 204
    trace = (await analyst.get(f"/api/v1/predictions/{made['prediction_id']}/trace")).json()
    assert trace["prediction"]["prediction_id"] == made["prediction_id"]
    assert trace["model"] == {"name": "flowers", "version": 1, "sha256": version.sha256}
    assert trace["training"]["job_id"] == version.job_id
    assert (trace["dataset"]["name"], trace["dataset"]["version"]) == ("flowers", 1)
    assert trace["origin"]["filename"] == "flowers.csv"


async def test_viewers_and_strangers_do_not_predict(
    version: ModelVersion, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    viewer = await sign_in(Role.viewer)
    for url in (PREDICT, "/api/v1/models/flowers/versions/1/predict"):
        assert (await viewer.post(url, json=RECORDS)).status_code == 403
        assert (await client.post(url, json=RECORDS)).status_code == 401
