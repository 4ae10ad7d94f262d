"""Records become an immutable, numbered version of a data set."""

import io
from datetime import UTC, datetime
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select, update

from astralytiq.core.db import Database
from astralytiq.core.jobs import Job, JobStatus
from astralytiq.core.resources import Resources
from astralytiq.core.security import SYSTEM, Role
from astralytiq.features.datasets.models import DatasetVersion
from astralytiq.features.ingestion import indexing, reading
from astralytiq.features.ingestion import service as ingestion
from astralytiq.features.ingestion.models import DataRecord
from astralytiq.features.ingestion.schemas import CsvSource
from tests.conftest import RunJobs, SignIn
from tests.factories import folder_of

from .factories import FLOWERS, freeze, store_records

pytestmark = pytest.mark.anyio


async def versions(client: httpx2.AsyncClient, dataset_id: int) -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/datasets/{dataset_id}/versions")
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_a_set_is_building_until_its_job_has_frozen_it(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    body = {"name": "garden", "description": "Measured.", "from_records": {"source": "flowers"}}
    asked = await analyst.post("/api/v1/datasets/", json=body)
    assert asked.status_code == 201
    made = asked.json()
    assert (made["status"], made["version"], made["rows"]) == ("building", 0, None)
    assert asked.headers["location"] == f"/api/v1/jobs/{made['job_id']}"

    await run_jobs()
    job = (await analyst.get(asked.headers["location"])).json()
    assert job["result"] == {"dataset": f"{made['id']}@1", "rows": 60, "columns": 4}
    (listed,) = (await analyst.get("/api/v1/datasets")).json()
    assert (listed["status"], listed["version"], listed["rows"]) == ("ready", 1, 60)
    assert listed["size_mb"] > 0
    assert (listed["quality_score"], listed["project_id"]) == (100.0, None)


async def test_a_version_says_where_it_came_from_and_leads_back_to_each_record(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    published = datetime(2024, 1, 31, tzinfo=UTC)
    await store_records(resources, run_id="run-a", title="t", published_at=published)
    await store_records(resources, rows=[{"length": 1, "title": "x"}], run_id="run-b", first=60)
    analyst = await sign_in(Role.analyst)
    dataset_id = await freeze(analyst, run_jobs, "garden")
    (version,) = await versions(analyst, dataset_id)
    assert version["origin"] == {
        "kind": "records",
        "source": "flowers",
        "run_ids": ["run-a", "run-b"],
    }
    assert {column["name"]: column["type"] for column in version["schema"]} == {
        "_record_id": "int64",
        "title": "string",
        "published_at": "timestamp",
        "length": "float64",
        "metadata.title": "string",
        "species": "string",
        "width": "int64",
    }
    answer = await analyst.get(f"/api/v1/datasets/{dataset_id}/preview", params={"limit": 1})
    (row,) = answer.json()["rows"]
    assert (row["title"], row["published_at"]) == ("t", "2024-01-31T00:00:00Z")
    record = (await analyst.get(f"/api/v1/data/{row['_record_id']}")).json()
    assert record["metadata"] == FLOWERS[0]


async def test_the_same_records_give_the_same_hash_and_changed_ones_another(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs, database: Database
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    dataset_id = await freeze(analyst, run_jobs, "garden")
    url = f"/api/v1/datasets/{dataset_id}"
    await analyst.post(f"{url}/versions")
    await run_jobs()

    async def change(session: Any) -> None:
        changed = update(DataRecord).where(DataRecord.source_id == "7").values(title="new")
        await session.execute(changed)

    await database.write(change)
    asked = await analyst.post(f"{url}/versions", json={"from_records": {"source": "flowers"}})
    assert asked.status_code == 202
    assert asked.headers["location"] == f"/api/v1/jobs/{asked.json()['job_id']}"
    await run_jobs()

    third, second, first = await versions(analyst, dataset_id)
    assert [third["version"], second["version"], first["version"]] == [3, 2, 1]
    assert first["content_hash"] == second["content_hash"] != third["content_hash"]
    old = (await analyst.get(f"{url}/preview", params={"version": 1})).json()
    assert "title" not in old["rows"][0]


async def test_a_job_that_runs_twice_makes_one_version(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs, database: Database
) -> None:
    await store_records(resources)
    dataset_id = await freeze(await sign_in(Role.analyst), run_jobs, "garden")

    async def queue_again(session: Any) -> None:
        await session.execute(update(Job).values(status=JobStatus.queued))

    await database.write(queue_again)
    await run_jobs()
    async with database.reading() as session:
        assert await session.scalar(select(func.count(DatasetVersion.id))) == 1
        assert (await session.scalars(select(Job.result))).one()["dataset"] == f"{dataset_id}@1"
    assert len(list((folder_of(resources) / "datasets").iterdir())) == 1


async def test_a_source_without_records_fails_the_set_and_says_what_to_do(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    source = CsvSource(name="flowers", kind="csv", path="flowers.csv")
    await resources.database.write(lambda session: ingestion.create_source(session, SYSTEM, source))
    analyst = await sign_in(Role.analyst)
    dataset_id = await freeze(analyst, run_jobs, "garden")
    read = await analyst.get(f"/api/v1/datasets/{dataset_id}")
    assert read.json()["status"] == "failed"
    job = (await analyst.get(f"/api/v1/jobs/{read.json()['job_id']}")).json()
    assert (job["status"], job["attempts"]) == ("failed", 1)
    assert "has no records: run it first" in job["error"]
    preview = await analyst.get(f"/api/v1/datasets/{dataset_id}/preview")
    assert (preview.status_code, "no version yet" in preview.json()["detail"]) == (409, True)

    await store_records(resources)
    await analyst.post(f"/api/v1/datasets/{dataset_id}/versions")
    await run_jobs()
    assert (await analyst.get(f"/api/v1/datasets/{dataset_id}")).json()["status"] == "ready"


async def test_a_source_that_nobody_knows_is_refused_at_the_door(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    body = {"name": "garden", "from_records": {"source": "nowhere"}}
    answer = await analyst.post("/api/v1/datasets", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "from_records", "source"]


async def test_a_cancelled_job_leaves_a_failed_set(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_records(resources)
    scientist = await sign_in(Role.data_scientist)
    batches = reading.batches

    async def cancel_then_read(*arguments: Any) -> Any:
        (job,) = (await scientist.get("/api/v1/jobs")).json()
        if not job["cancel_requested"]:
            await scientist.post(f"/api/v1/jobs/{job['job_id']}/cancel")
        async for records in batches(*arguments):
            yield records

    monkeypatch.setattr(reading, "batches", cancel_then_read)
    dataset_id = await freeze(scientist, run_jobs, "garden")
    read = (await scientist.get(f"/api/v1/datasets/{dataset_id}")).json()
    assert (read["status"], read["version"]) == ("failed", 0)
    assert list((folder_of(resources) / "datasets").iterdir()) == []


async def test_the_download_is_the_parquet_file(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    dataset_id = await freeze(analyst, run_jobs, "gärten / 1")
    url = f"/api/v1/datasets/{dataset_id}/download"
    answer = await analyst.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment;")
    table = pq.read_table(io.BytesIO(answer.content))
    assert (table.num_rows, table["species"][0].as_py()) == (60, FLOWERS[0]["species"])
    known = await analyst.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert (await analyst.get(url, params={"version": 2})).status_code == 404


async def test_an_idempotency_key_makes_one_set(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    body = {"name": "garden", "from_records": {"source": "flowers"}}
    keys = {"Idempotency-Key": "once"}
    answers = [await analyst.post("/api/v1/datasets", json=body, headers=keys) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    await run_jobs()
    assert (await analyst.get("/api/v1/datasets")).headers["x-total-count"] == "1"


async def test_a_query_over_the_records_becomes_a_set_and_is_asked_again(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources, category="old")
    await store_records(resources, "shop", [{"price": 3}], run_id="run-2", category="new")
    await store_records(resources, rows=[{"length": 1}], first=60, run_id="run-3", category="new")
    analyst = await sign_in(Role.analyst)
    query = {"category": "new", "updated_since": "2020-01-01T00:00:00Z"}
    body = {"name": "new ones", "from_query": query}
    asked = await analyst.post("/api/v1/datasets", json=body)
    assert asked.status_code == 201, asked.text
    await run_jobs()
    dataset_id = asked.json()["id"]
    (version,) = await versions(analyst, dataset_id)
    assert version["origin"] == {"kind": "query", "query": query, "run_ids": ["run-2", "run-3"]}
    assert version["rows"] == 2
    await store_records(resources, "shop", [{"price": 4}], first=1, category="new")
    await analyst.post(f"/api/v1/datasets/{dataset_id}/versions")
    await run_jobs()
    newest, _ = await versions(analyst, dataset_id)
    assert (newest["rows"], newest["origin"]["query"]) == (3, query)


async def test_words_are_part_of_a_query(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources, rows=[{"n": 1}], title="a red rose")
    await store_records(resources, rows=[{"n": 2}], first=1, title="a white rose")
    await resources.database.write(indexing.note_all)
    await resources.database.write(indexing.enqueue)
    await run_jobs()
    analyst = await sign_in(Role.analyst)
    body = {"name": "roses", "from_query": {"q": "ros red"}}
    dataset_id = (await analyst.post("/api/v1/datasets", json=body)).json()["id"]
    await run_jobs()
    rows = (await analyst.get(f"/api/v1/datasets/{dataset_id}/preview")).json()["rows"]
    assert [row["title"] for row in rows] == ["a red rose"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"from_query": {"colour": "red"}},
        {"from_query": {"source": "nowhere"}},
        {"from_query": {"published_after": "yesterday"}},
        {"from_query": {}, "from_records": {"source": "flowers"}},
    ],
)
async def test_a_set_says_once_which_records_it_wants(
    resources: Resources, sign_in: SignIn, given: dict[str, Any]
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    answer = await analyst.post("/api/v1/datasets", json={"name": "garden", **given})
    assert answer.status_code == 422


async def test_a_query_that_nothing_matches_fails_with_its_words(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources)
    analyst = await sign_in(Role.analyst)
    body = {"name": "none", "from_query": {"category": "absent"}}
    asked = (await analyst.post("/api/v1/datasets", json=body)).json()
    await run_jobs()
    job = (await analyst.get(f"/api/v1/jobs/{asked['job_id']}")).json()
    assert (job["status"], "No record matches" in job["error"]) == ("failed", True)


async def test_a_set_that_has_only_grown_is_not_called_changed(
    resources: Resources, sign_in: SignIn, run_jobs: RunJobs
) -> None:
    await store_records(resources, run_id="run-a")
    analyst = await sign_in(Role.analyst)
    url = f"/api/v1/datasets/{await freeze(analyst, run_jobs, 'garden')}"
    await store_records(resources, run_id="run-b", first=60)
    await analyst.post(f"{url}/versions")
    await run_jobs()
    found = (await analyst.get(f"{url}/compare/1")).json()
    assert (found["rows_before"], found["rows_after"], found["verdict"]) == (60, 120, "none")
    (ids,) = (one for one in found["columns"] if one["column"] == "_record_id")
    assert (ids["kind"], ids["verdict"], ids["psi"]) == ("not_compared", None, None)
