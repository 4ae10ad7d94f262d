"""From an upload to a prediction with every file in a bucket, and nothing lost with the machine."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as parquet
import pytest

from astralytiq import home, serve
from astralytiq.app import create_app
from astralytiq.core import executor
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.core.tracking import Tracker
from tests.conftest import RunJobs, SignIn
from tests.databases import Databases
from tests.factories import signed_in
from tests.features.datasets.factories import FLOWERS, freeze, store_records, upload
from tests.features.training.conftest import empty_mlflow, mlflow  # noqa: F401 - fixtures
from tests.journeys.guides import commands, run
from tests.journeys.servers import free_port
from tests.s3 import S3Server

GUIDE = "docs/guides/object-storage.md"
VERSION = "/api/v1/models/flowers/versions/1"
TRAINING = {
    "algorithm": "random_forest",
    "target": "species",
    "params": {"n_estimators": 5},
    "model_name": "flowers",
    "seed": 3,
}


@pytest.fixture
async def database_url(databases: Databases, anyio_backend: str) -> AsyncIterator[str]:
    url = await databases.fresh()
    yield url
    await databases.drop(url)


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def settings(settings: Settings, s3: S3Server, bucket: str) -> Settings:
    return moved(settings, settings.home, s3.environment(bucket))


def moved(settings: Settings, home: Path, given: dict[str, str]) -> Settings:
    return Settings(**{**settings.model_dump(), "astralytiq_home": home, **given})


async def done(client: httpx2.AsyncClient, asked: httpx2.Response) -> dict[str, Any]:
    assert asked.status_code == 202, asked.text
    job: dict[str, Any] = (await client.get(asked.headers["location"])).json()
    return job


async def use(client: httpx2.AsyncClient, resources: Resources) -> None:
    """Everything that reads a file."""
    rows = [{"length": 1.0, "width": 1}, {"length": 4.0, "width": 1}]
    answer = await client.post("/api/v1/models/flowers/predict", json={"records": rows})
    assert answer.json()["predictions"] == ["setosa", "virginica"], answer.text
    url = "/api/v1/datasets/1/download"
    for _ in ("from the bucket", "from the cache"):
        whole = await client.get(url)
        assert parquet.read_table(io.BytesIO(whole.content)).num_rows == len(FLOWERS)
        assert whole.headers["content-length"] == str(len(whole.content))
        part = await client.get(url, headers={"Range": "bytes=4-99"})
        assert (part.status_code, part.content) == (206, whole.content[4:100])
    assert b"virginica" in (await client.get(url, params={"format": "csv"})).content
    assert (await client.get("/api/v1/datasets/2/preview")).json()["total_rows"] == len(FLOWERS)
    again = await client.post(f"{VERSION}/reproduce")
    await executor.run_until_idle(resources, "tests")
    assert (await done(client, again))["result"]["reproduced"] is True


@pytest.mark.anyio
async def test_what_is_in_the_bucket_outlives_the_machine(
    s3: S3Server,
    bucket: str,
    settings: Settings,
    tmp_path: Path,
    resources: Resources,
    sign_in: SignIn,
    run_jobs: RunJobs,
    mlflow: Tracker,  # noqa: F811 - it is the fixture
) -> None:
    await store_records(resources)
    scientist = await sign_in(Role.data_scientist)
    dataset_id = (await upload(scientist)).json()["id"]
    await freeze(scientist, run_jobs, "frozen")
    assert (await scientist.get("/api/v1/datasets/1/quality")).json()["score"] > 0
    await scientist.post("/api/v1/ml/train", json={**TRAINING, "dataset_id": dataset_id})
    await run_jobs()
    promoted = await scientist.post(f"{VERSION}/stage", json={"stage": "production"})
    assert promoted.status_code == 200, promoted.text
    assert {key.split("/")[1] for key in s3.keys(bucket)} == {"datasets", "models"}
    assert not (settings.home / "storage").exists()

    second = create_app(moved(settings, tmp_path / "second", {}))
    async with (
        second.router.lifespan_context(second),
        await signed_in(second, Role.admin) as admin,
    ):
        await use(admin, second.state.resources)
        await refuse_flipped_bytes(s3, bucket, admin, second.state.resources)


async def refuse_flipped_bytes(
    s3: S3Server, bucket: str, client: httpx2.AsyncClient, resources: Resources
) -> None:
    for copy in (resources.settings.home / "storage-cache").iterdir():
        copy.unlink()
    for key in s3.keys(bucket):
        s3.flip_a_byte(bucket, key)
    asked = await client.post("/api/v1/ml/train", json={**TRAINING, "dataset_id": 1})
    await executor.run_until_idle(resources, "tests")
    assert "data set 1@1 is damaged" in (await done(client, asked))["error"]
    refused = await client.get(f"{VERSION}/export", params={"format": "native"})
    assert (refused.status_code, "damaged" in refused.json()["detail"]) == (409, True)


@pytest.mark.anyio
async def test_an_outage_is_a_503_and_costs_a_job_only_time(
    s3: S3Server,
    bucket: str,
    resources: Resources,
    sign_in: SignIn,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("astralytiq.core.s3.PAUSES", ())
    monkeypatch.setattr("astralytiq.core.s3.REST_SECONDS", 0.0)
    await store_records(resources)
    scientist = await sign_in(Role.data_scientist)
    with s3.failing(lambda environ: ("503 Busy", b"")):
        refused = await upload(scientist)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "S3_ENDPOINT_URL" in refused.json()["detail"]
        body = {"name": "frozen", "from_records": {"source": "flowers"}}
        asked = await scientist.post("/api/v1/datasets", json=body)
        await run_jobs()
        job = (await scientist.get(asked.headers["location"])).json()
        assert (job["status"], job["attempts"]) == ("queued", 1)
    assert s3.keys(bucket) == []
    assert (await scientist.get("/api/v1/datasets/1")).json()["status"] != "failed"


# As a user would ---------------------------------------------------------------------------------


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
def test_the_guide_to_object_storage_shows_what_it_says(tmp_path: Path, database_url: str) -> None:
    given = {"ASTRALYTIQ_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    given["DATABASE_URL"] = database_url  # An empty one would be migrated first.
    said = run(commands(GUIDE), S3_PORT=str(free_port()), **given).text
    assert said.count("<Key>files/datasets/") == 2
    (table,) = tmp_path.glob("tmp.*/iris.parquet")
    assert parquet.read_table(table).num_rows == 150


def test_a_start_without_the_bucket_is_refused_in_a_line(tmp_path: Path, s3: S3Server) -> None:
    settings = s3.settings(tmp_path, "never-made", astralytiq_port=free_port())
    words = r"^The storage s3://never-made is not there: create the bucket.* \(NoSuchBucket\)\.$"
    with pytest.raises(serve.ServeError, match=words):
        serve.run(settings, [home.prepare_storage], [], str)
