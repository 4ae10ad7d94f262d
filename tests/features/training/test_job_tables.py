"""Tables that jobs leave become data sets: how candidates did, and what a run rejected."""

from typing import Any

import httpx2
import pytest

from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.tracking import Tracker
from tests.conftest import RunJobs, SignIn
from tests.features.datasets.factories import upload

pytestmark = pytest.mark.anyio

API = "/api/v1"
Json = dict[str, Any]


@pytest.fixture
async def scientist(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


async def made(client: httpx2.AsyncClient, door: str, **body: Any) -> Json:
    answer = await client.post(f"{API}/{door}", json=body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


async def rows_of(client: httpx2.AsyncClient, dataset: Json) -> list[Json]:
    answer = await client.get(f"{API}/datasets/{dataset['id']}/preview")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["rows"]
    return found


async def searched(client: httpx2.AsyncClient, run_jobs: RunJobs) -> str:
    """A training that tried two depths in three folds: its job."""
    await upload(client)
    asked = await made(
        client,
        "ml/train",
        algorithm="decision_tree",
        dataset_id="1@1",
        target="species",
        model_name="flowers",
        cv_folds=3,
        search={"grid": {"max_depth": [1, None]}},
    )
    await run_jobs()
    found: str = asked["job_id"]
    return found


async def test_a_search_leaves_its_candidates_folds_and_importances(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, mlflow: Tracker
) -> None:
    job_id = await searched(scientist, run_jobs)
    tables = {}
    for table in ("candidates", "folds", "importances"):
        left = {"job_id": job_id, "table": table}
        tables[table] = await made(scientist, "datasets", name=table, from_job=left)
    await run_jobs()
    candidates, folds, importances = [await rows_of(scientist, one) for one in tables.values()]
    evaluation = (await scientist.get(f"{API}/models/flowers/versions/1")).json()["evaluation"]
    search = evaluation["search"]
    assert [row["candidate"] for row in candidates] == [1, 2]
    assert [row["is_best"] for row in candidates].index(True) == search["best"]
    assert [row["param.max_depth"] for row in candidates] == [1, None]
    found = [(row["accuracy.mean"], row["accuracy.std"]) for row in candidates]
    metrics = [one["metrics"]["accuracy"] for one in search["candidates"]]
    assert found == [(one["mean"], one["std"]) for one in metrics]
    scores = evaluation["cross_validation"]["scores"]
    assert folds == [{"fold": place, **one} for place, one in enumerate(scores, 1)]
    assert {row["feature"]: row["importance"] for row in importances} == evaluation["importances"]


async def test_the_version_says_which_job_it_came_from_and_freezes_alike_again(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, mlflow: Tracker
) -> None:
    job_id = await searched(scientist, run_jobs)
    left = {"job_id": job_id, "table": "folds"}
    dataset = await made(scientist, "datasets", name="folds", from_job=left)
    await run_jobs()
    await made(scientist, f"datasets/{dataset['id']}/versions")
    await run_jobs()
    versions = (await scientist.get(f"{API}/datasets/{dataset['id']}/versions")).json()
    assert versions[0]["content_hash"] == versions[1]["content_hash"]
    assert versions[0]["origin"] == {
        "kind": "job",
        "job_id": job_id,
        "job_kind": "training.run",
        "table": "folds",
        "of": {"kind": "training_run", "id": job_id},
    }
    shown = (await scientist.get(f"{API}/datasets/{dataset['id']}")).json()
    assert (shown["type"], shown["status"], shown["version"]) == ("job", "ready", 2)
    assert shown["quality_score"] is not None
    path = f"{API}/lineage/dataset_version/{dataset['id']}@1"
    up = (await scientist.get(path, params={"direction": "up"})).json()
    kinds = {one["kind"] for one in up["nodes"]}
    assert {"training_run", "dataset_version", "upload"} <= kinds


async def test_a_run_leaves_its_rejects(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, resources: Resources, sign_in: SignIn
) -> None:
    inbox = resources.settings.home / "inbox" / "shop.csv"
    inbox.write_text("id,title\n1,a\n2\n3,c\n4,d,e\n")
    source = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
    await made(scientist, "sources", **source)
    run = await made(scientist, "sources/shop/run")
    await run_jobs()
    # The run is the team's to read, and so is what it left.
    analyst = await sign_in(Role.analyst)
    left = {"job_id": run["job_id"]}
    dataset = await made(analyst, "datasets", name="rejects", from_job=left)
    await run_jobs()
    listed = (await analyst.get(f"{API}/etl/rejects")).json()
    rows = await rows_of(analyst, dataset)
    assert len(rows) == len(listed) == 2
    assert {row["reason"] for row in rows} == {one["reason"] for one in listed}
    assert list(rows[0])[:3] == ["reject_id", "raw_position", "reason"]
    assert all(row["payload"].startswith("{") for row in rows)


async def test_what_leaves_no_table_is_refused_in_words(
    scientist: httpx2.AsyncClient, run_jobs: RunJobs, mlflow: Tracker, sign_in: SignIn
) -> None:
    job_id = await searched(scientist, run_jobs)

    async def refused(client: httpx2.AsyncClient, status: int, **left: Any) -> str:
        body = {"name": "left", "from_job": left}
        answer = await client.post(f"{API}/datasets", json=body)
        assert answer.status_code == status, answer.text
        return str(answer.json().get("detail"))

    assert "['candidates', 'folds', 'importances']" in await refused(scientist, 422, job_id=job_id)
    assert "name one of them" in await refused(scientist, 422, job_id=job_id, table="rejects")
    await refused(scientist, 404, job_id="nothing")
    frozen = await made(
        scientist, "datasets", name="folds", from_job={"job_id": job_id, "table": "folds"}
    )
    await run_jobs()
    words = await refused(scientist, 422, job_id=frozen["job_id"])
    assert f"Its output is the data set {frozen['id']}@1" in words
    # Whose job it is stays private where it leaves nothing for all.
    await refused(await sign_in(Role.analyst), 404, job_id=frozen["job_id"])
    await refused(await sign_in(Role.viewer), 403, job_id=job_id, table="folds")

    plain = {"algorithm": "decision_tree", "dataset_id": 1, "target": "species"}
    waiting = await made(scientist, "ml/train", **plain, model_name="plain")
    left = {"job_id": waiting["job_id"], "table": "candidates"}
    assert "wait for its end" in await refused(scientist, 409, **left)
    await run_jobs()
    assert "with search" in await refused(scientist, 422, **left)
    body = {"name": "x", "from_job": left, "from_records": {"source": "shop"}}
    assert (await scientist.post(f"{API}/datasets", json=body)).status_code == 422
