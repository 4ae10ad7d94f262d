"""A model answers for a whole data set version, and the answers are a data set version."""

import asyncio
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.executor import Work
from astralytiq.core.jobs import Job, JobCancelled, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.engines.models.classifying import Classifying
from astralytiq.engines.models.contract import Predictions
from astralytiq.engines.models.trees import TreeAdapter
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.predictions import scoring, service
from astralytiq.features.registry import service as registry
from astralytiq.features.registry.models import ModelVersion
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import CSV, FLOWERS, upload
from tests.features.registry.factories import promote, store_version

pytestmark = pytest.mark.anyio

API = "/api/v1"
BATCH = f"{API}/models/flowers/predict-batch"
# Of four rows, the second and the third lack what the model takes.
GAPS = "length,width,prediction,note\n1.0,0,old,a\n,1,old,b\n2.5,,old,c\n4.0,4,old,d\n"

Json = dict[str, Any]


@pytest.fixture
async def owner(sign_in: SignIn, resources: Resources) -> httpx2.AsyncClient:
    """Of a forest in production, trained on the data set 1."""
    owner = await sign_in(Role.data_scientist)
    await store_version(resources, owner)
    await promote(owner)
    await resources.database.write(leave_mlflow_out)
    return owner


async def leave_mlflow_out(session: AsyncSession) -> None:
    """Of these versions it has no run."""
    await session.execute(delete(Job).where(Job.name == registry.MIRROR_JOB))


async def asked(client: httpx2.AsyncClient, **body: Any) -> Json:
    answer = await client.post(BATCH, json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{API}/jobs/{answer.json()['job_id']}"
    found: Json = answer.json()
    return found


async def job_of(client: httpx2.AsyncClient, answer: Json) -> Json:
    found: Json = (await client.get(f"{API}/jobs/{answer['job_id']}")).json()
    return found


async def rows_of(client: httpx2.AsyncClient, dataset_id: int, limit: int = 100) -> list[Json]:
    answer = await client.get(f"{API}/datasets/{dataset_id}/preview", params={"limit": limit})
    found: list[Json] = answer.json()["rows"]
    return found


async def test_every_row_gets_the_answer_that_it_would_get_alone(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    answer = await asked(owner, dataset_id="1@1", name="judged")
    assert answer["output"]["name"] == "judged"
    await run_jobs()
    job = await job_of(owner, answer)
    output = answer["output"]["dataset_id"]
    assert job["result"] == {
        "dataset": f"{output}@1", "dataset_id": output, "version": 1, "rows": 60, "skipped": 0,
        "renamed": {}, "model": "flowers@1", "input": "1@1",
    }  # fmt: skip
    rows = await rows_of(owner, output)
    instances = [[flower["length"], flower["width"]] for flower in FLOWERS]
    single = (await owner.post(BATCH.removesuffix("-batch"), json={"instances": instances})).json()
    assert [row["prediction"] for row in rows] == single["predictions"]
    shares = [[row["probability_setosa"], row["probability_virginica"]] for row in rows]
    assert shares == single["probabilities"]
    assert [{name: row[name] for name in FLOWERS[0]} for row in rows] == FLOWERS

    made = (await owner.get(f"{API}/datasets/{output}")).json()
    assert (made["type"], made["status"], made["version"]) == ("predictions", "ready", 1)
    assert (await owner.get(f"{API}/datasets/{output}/quality")).status_code == 200
    (version,) = (await owner.get(f"{API}/datasets/{output}/versions")).json()
    assert (version["origin"]["kind"], len(version["content_hash"])) == ("predictions", 64)


async def test_rows_without_a_value_are_kept_and_counted_and_names_do_not_collide(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    dataset_id = (await upload(owner, GAPS, "gaps.csv")).json()["id"]
    answer = await asked(owner, dataset_id=dataset_id, columns=["note", "prediction"])
    assert answer["renamed"] == {"prediction": "prediction_2"}
    assert answer["output"]["name"] == "gaps by flowers"
    await run_jobs()
    result = (await job_of(owner, answer))["result"]
    assert (result["rows"], result["skipped"]) == (4, 2)
    rows = await rows_of(owner, answer["output"]["dataset_id"])
    assert list(rows[0]) == ["note", "prediction", *answer["prediction_columns"]]
    assert [row["note"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["prediction_2"] is None for row in rows] == [False, True, True, False]
    assert [row["probability_setosa"] is None for row in rows] == [False, True, True, False]


async def test_a_table_of_gaps_alone_has_no_prediction(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    gaps = "length,width\n1.0,\n2.0,\n,3\n"
    dataset_id = (await upload(owner, gaps, "gaps.csv")).json()["id"]
    answer = await asked(owner, dataset_id=dataset_id, columns=[])
    await run_jobs()
    assert (await job_of(owner, answer))["result"]["skipped"] == 3
    rows = await rows_of(owner, answer["output"]["dataset_id"])
    assert [set(row.values()) for row in rows] == [{None}] * 3


async def test_the_same_name_again_is_the_next_version_of_it(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    first = await asked(owner, dataset_id=1)
    await run_jobs()
    second = await asked(owner, dataset_id=1)
    await run_jobs()
    assert first["output"] == second["output"]
    assert (await job_of(owner, second))["result"]["version"] == 2
    url = f"{API}/datasets/{first['output']['dataset_id']}/versions"
    newer, older = (await owner.get(url)).json()
    assert newer["content_hash"] == older["content_hash"]
    taken = await owner.post(BATCH, json={"dataset_id": 1, "name": "flowers"})
    assert (taken.status_code, "choose another name" in taken.json()["detail"]) == (409, True)


async def test_parts_of_any_size_make_the_same_table(
    owner: httpx2.AsyncClient,
    run_jobs: RunJobs,
    resources: Resources,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await asked(owner, dataset_id=1, name="whole")
    await run_jobs()
    monkeypatch.setattr(scoring, "MOST_ROWS", 7)
    told: list[str] = []
    report = Work.report

    def heard(work: Work, progress: float, phase: str, message: str = "") -> None:
        told.append(message)
        report(work, progress, phase, message)

    monkeypatch.setattr(Work, "report", heard)
    await asked(owner, dataset_id=1, name="parts")
    await run_jobs()
    assert told[1:4] == ["7 of 60 rows", "14 of 60 rows", "21 of 60 rows"]
    async with database.reading() as session:
        query = select(DatasetVersion).where(
            DatasetVersion.origin["kind"].as_string() == "predictions"
        )
        whole, parts = (await session.scalars(query.order_by(DatasetVersion.id))).all()
    assert whole.content_hash == parts.content_hash
    stored = resources.settings.home / "storage" / parts.storage_key
    assert pq.read_metadata(stored).num_row_groups == 1


async def test_models_from_elsewhere_answer_as_they_can(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await asked(owner, dataset_id=1, name="ours")
    await run_jobs()

    class Other:
        """No adapter of ours: what it answers comes as lists."""

    monkeypatch.setattr(scoring, "Classifying", Other)
    second = await asked(owner, dataset_id=1, name="lists")
    await run_jobs()
    ours, lists = [await rows_of(owner, one["output"]["dataset_id"]) for one in (first, second)]
    assert lists == ours

    def labels_alone(adapter: TreeAdapter, model: Any, features: Any) -> Predictions:
        return Predictions(Classifying.predict(adapter, model, features).labels, [])

    monkeypatch.setattr(TreeAdapter, "predict", labels_alone)
    third = await asked(owner, dataset_id=1, name="labels")
    await run_jobs()
    alone = await rows_of(owner, third["output"]["dataset_id"])
    assert list(alone[0]) == ["length", "width", "species", "prediction"]
    assert [row["prediction"] for row in alone] == [row["prediction"] for row in ours]

    def fails(adapter: TreeAdapter, model: Any, features: Any) -> Predictions:
        raise ValueError("it answers with something that is no number")

    monkeypatch.setattr(TreeAdapter, "predict", fails)
    job = await asked(owner, dataset_id=1, name="fails")
    await run_jobs()
    error = (await job_of(owner, job))["error"]
    assert "flowers@1 cannot answer for 1@1: it answers with something" in error


async def test_everything_wrong_is_said_at_once_and_nothing_is_made(
    owner: httpx2.AsyncClient,
) -> None:
    dataset_id = (await upload(owner, "length,other\nlong,1\n", "odd.csv")).json()["id"]
    body = {"dataset_id": dataset_id, "columns": ["other", "none", "other"]}
    refused = await owner.post(BATCH, json=body)
    assert refused.status_code == 422
    faults = {".".join(map(str, one["loc"])): one["msg"] for one in refused.json()["errors"]}
    assert set(faults) == {
        "body.dataset_id.length", "body.dataset_id.width", "body.columns.1", "body.columns.2",
    }  # fmt: skip
    assert "is a string; the model takes float64" in faults["body.dataset_id.length"]
    assert len((await owner.get(f"{API}/datasets")).json()) == 2
    for wrong in ({"dataset_id": "x"}, {"dataset_id": 1, "version": 0}, {}):
        assert (await owner.post(BATCH, json=wrong)).status_code == 422
    for absent in ({"dataset_id": 99}, {"dataset_id": "1@9"}, {"dataset_id": 1, "version": 9}):
        assert (await owner.post(BATCH, json=absent)).status_code == 404
    await promote(owner, stage="none")
    idle = await owner.post(BATCH, json={"dataset_id": 1})
    assert (idle.status_code, "in production" in idle.json()["detail"]) == (409, True)


async def test_the_job_takes_the_versions_of_when_it_was_asked(
    owner: httpx2.AsyncClient, resources: Resources, run_jobs: RunJobs
) -> None:
    answer = await asked(owner, dataset_id=1)
    await store_version(resources, owner, seed=5)
    await promote(owner, 2)
    await upload(owner, CSV, path="1/versions/upload")
    await resources.database.write(leave_mlflow_out)
    await run_jobs()
    result = (await job_of(owner, answer))["result"]
    assert (result["model"], result["input"]) == ("flowers@1", "1@1")


async def test_a_job_that_runs_again_makes_one_version(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, database: Database
) -> None:
    answer = await asked(owner, dataset_id=1)
    await run_jobs()
    first = (await job_of(owner, answer))["result"]

    async def queue_again(session: Any) -> None:
        again = update(Job).where(Job.id == answer["job_id"])
        await session.execute(again.values(status=JobStatus.queued))

    await database.write(queue_again)
    await run_jobs()
    assert (await job_of(owner, answer))["result"] == first
    versions = await owner.get(f"{API}/datasets/{first['dataset_id']}/versions")
    assert len(versions.json()) == 1


async def test_a_worker_that_lost_its_lease_leaves_nothing_behind(
    owner: httpx2.AsyncClient,
    run_jobs: RunJobs,
    resources: Resources,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await asked(owner, dataset_id=1)
    model_of = service.model_of
    lost = update(Job).where(Job.id == answer["job_id"], Job.attempt == 1)

    async def lose(session: AsyncSession) -> None:
        await session.execute(lost.values(status=JobStatus.queued, fence=Job.fence + 1))

    async def slow(*arguments: Any) -> Any:
        await database.write(lose)
        return await model_of(*arguments)

    monkeypatch.setattr(service, "model_of", slow)
    await run_jobs()
    job = await job_of(owner, answer)
    assert (job["status"], job["attempts"], job["result"]["version"]) == ("succeeded", 2, 1)
    folder = resources.settings.home / "storage" / "datasets"
    assert len([path for path in folder.iterdir() if answer["job_id"] in path.name]) == 1


async def test_a_request_that_is_sent_twice_is_one_job(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    key = {"Idempotency-Key": "batch-1"}
    first, second = [await owner.post(BATCH, json={"dataset_id": 1}, headers=key) for _ in "ab"]
    assert first.json() == second.json()


async def test_cancelled_in_the_middle_it_leaves_nothing(
    owner: httpx2.AsyncClient,
    run_jobs: RunJobs,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = await asked(owner, dataset_id=1)
    monkeypatch.setattr(scoring, "MOST_ROWS", 7)
    answered = scoring.Scorer.answered

    def cancelled(work: Work) -> None:
        raise JobCancelled(work.claim.id)

    def one_part(scorer: scoring.Scorer, part: Any) -> Any:
        monkeypatch.setattr(Work, "check", cancelled)
        return answered(scorer, part)

    monkeypatch.setattr(scoring.Scorer, "answered", one_part)
    await run_jobs()
    monkeypatch.undo()
    assert (await job_of(owner, answer))["status"] == "cancelled"
    made = (await owner.get(f"{API}/datasets/{answer['output']['dataset_id']}")).json()
    assert (made["status"], made["version"]) == ("failed", 0)
    folder = resources.settings.home / "storage" / "datasets"
    assert not [path for path in folder.iterdir() if answer["job_id"] in path.name]
    assert not list(folder.glob(".*.part"))
    # Waiting, it ends at once, and the same name can be asked for again.
    again = await asked(owner, dataset_id=1)
    assert again["output"] == answer["output"]
    assert (await owner.post(f"{API}/jobs/{again['job_id']}/cancel")).status_code == 202
    made = (await owner.get(f"{API}/datasets/{answer['output']['dataset_id']}")).json()
    assert made["status"] == "failed"


async def test_23_damaged_files_are_not_read(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources, database: Database
) -> None:
    async with database.reading() as session:
        keys = [
            (await session.scalars(select(table.storage_key))).one()
            for table in (ModelVersion, DatasetVersion)
        ]
    wrong = ("this model version", "data set 1@1")
    for key, words in zip(keys, wrong, strict=True):
        path = resources.settings.home / "storage" / key
        content = path.read_bytes()
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        answer = await asked(owner, dataset_id=1)
        await run_jobs()
        job = await job_of(owner, answer)
        told = job["error"] or ""
        assert (job["status"], "damaged" in told, words in told) == ("failed", True, True), told
        path.write_bytes(content)


async def test_lineage_and_audit_tell_of_it(
    owner: httpx2.AsyncClient, run_jobs: RunJobs, database: Database
) -> None:
    answer = await asked(owner, dataset_id=1)
    await run_jobs()
    made = (await job_of(owner, answer))["result"]["dataset"]
    up = (
        await owner.get(f"{API}/lineage/dataset_version/{made}", params={"direction": "up"})
    ).json()
    batch = f"batch_prediction {answer['job_id']}"
    ends = {
        (f"{e['origin']['kind']} {e['origin']['id']}", f"{e['made']['kind']} {e['made']['id']}")
        for e in up["edges"]
    }
    assert {
        ("dataset_version 1@1", batch),
        ("model_version flowers@1", batch),
        (batch, f"dataset_version {made}"),
    } <= ends
    (node,) = (one for one in up["nodes"] if one["kind"] == "batch_prediction")
    assert (node["type"], node["name"]) == ("run", f"batches/{answer['job_id']}")
    assert node["href"] == f"{API}/jobs/{answer['job_id']}"
    async with database.reading() as session:
        query = select(AuditEntry).where(AuditEntry.action == "predictions.batch_asked")
        (entry,) = (await session.scalars(query)).all()
    assert (entry.resource, entry.details["job_id"]) == ("model/flowers/1", answer["job_id"])


async def test_the_team_may_ask_but_viewers_and_strangers_may_not(
    owner: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    analyst = await sign_in(Role.analyst)
    answer = await asked(analyst, dataset_id=1)
    await run_jobs()
    assert (await job_of(analyst, answer))["status"] == "succeeded"
    assert (await owner.get(f"{API}/jobs/{answer['job_id']}")).status_code == 404
    viewer = await sign_in(Role.viewer)
    assert (await viewer.post(BATCH, json={"dataset_id": 1})).status_code == 403
    assert (await client.post(BATCH, json={"dataset_id": 1})).status_code == 401
    # The owner's own set of that name is another one.
    assert (await asked(owner, dataset_id=1))["output"] != answer["output"]


async def test_two_at_once_make_two_versions_of_one_set(
    owner: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    await asked(owner, dataset_id=1)  # The set is there.
    both = await asyncio.gather(*(asked(owner, dataset_id=1) for _ in range(2)))
    await run_jobs()
    numbers = {(await job_of(owner, one))["result"]["version"] for one in both}
    assert numbers == {2, 3}
