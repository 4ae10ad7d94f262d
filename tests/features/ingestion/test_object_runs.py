"""Objects that sources read: only where the operator lets them, whole, and only if they are new."""

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.core import s3 as calls
from astralytiq.core.resources import Resources
from astralytiq.core.s3 import S3
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import downloads, object_globs
from astralytiq.features.ingestion.read_csv import CsvReader
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.test_csv_runs import dying, records, survive
from tests.s3 import Answer, Environ, S3Server, refusal

pytestmark = pytest.mark.anyio

ROWS = b"id,title\n" + b"".join(b"%d,Item %d\n" % (at, at) for at in range(6))


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(calls, "PAUSES", (0.0,))
    monkeypatch.setattr(calls, "REST_SECONDS", 0.0)
    return s3.bucket()


@pytest.fixture
def settings(settings: Settings, s3: S3Server, bucket: str) -> Settings:
    given = {**s3.environment(), "source_buckets": (bucket, "shared/open")}
    return Settings(**{**settings.model_dump(), "astralytiq_home": settings.home, **given})


def put(s3: S3Server, bucket: str, content: bytes, key: str = "in/rows.csv") -> dict[str, Any]:
    s3.client.put_object(Bucket=bucket, Key=key, Body=content)
    return {"kind": "csv", "path": f"s3://{bucket}/{key}", "primary_key": "id"}


def left_behind(settings: Settings) -> list[Path]:
    return list((settings.home / downloads.FOLDER).iterdir())


async def test_an_object_becomes_records_and_is_read_again_only_when_it_has_changed(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    s3: S3Server,
    bucket: str,
    settings: Settings,
) -> None:
    first = await ingest("shop", **put(s3, bucket, gzip.compress(ROWS)))
    assert (first["error"], counts(first)) == (None, (6, 6, 0, 0))
    s3.asked.clear()
    again = await ingest("shop")
    assert (again["status"], counts(again)[0]) == ("success", 0)
    assert s3.asked == [f"HEAD /{bucket}/in/rows.csv"]
    put(s3, bucket, ROWS.replace(b"Item 5", b"Ware 5"))
    changed = await ingest("shop")
    whole = await ingest("shop", full_refresh=True)
    assert (counts(changed), counts(whole)[0]) == ((6, 0, 1, 0), 6)
    assert {record["title"] for record in await records(scientist)} >= {"Item 0", "Ware 5"}
    assert left_behind(settings) == []


async def test_after_a_crash_it_goes_on_behind_the_last_batch(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    s3: S3Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = {"name": "shop", "batch_size": 2, **put(s3, bucket, ROWS)}
    await scientist.post("/api/v1/sources", json=body)
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 3))
        await survive(resources, run_jobs)
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (6, 6, 0, 0))


UNLISTED = "have an admin list it in SOURCE_BUCKETS"
REFUSED = {
    "s3://elsewhere/rows.csv": UNLISTED,
    "s3://shared/closed/rows.csv": UNLISTED,
    "s3://shared/open": UNLISTED,
    "s3://shared/open/../closed/rows.csv": "names no object",
    "s3://shared/open/a**.csv": "names no object",
    "s3://shared/open/**": "names no object",
    "s3://sh*/open/a.csv": "names no object",
    "s3://shared/*/rows.csv": "in no bucket that sources may read",
    "s3://shared/open*/rows.csv": "in no bucket that sources may read",
    "s3://shared": "names no object",
    "s3:///rows.csv": "names no object",
    "gs://shared/open/rows.csv": "Paths that begin with gs:// are not read",
}


async def test_20_a_source_reads_only_the_buckets_that_are_listed(
    scientist: httpx2.AsyncClient,
) -> None:
    for path, words in REFUSED.items():
        body = {"name": "shop", "kind": "csv", "path": path}
        for door in ("/api/v1/sources", "/api/v1/sources/preview"):
            refused = await scientist.post(door, json=body)
            assert (refused.status_code, words in refused.json()["detail"]) == (422, True)
    fine = {"name": "shop", "kind": "csv", "path": "s3://shared/open/rows.csv"}
    assert (await scientist.post("/api/v1/sources", json=fine)).status_code == 201


async def test_20_the_platforms_own_bucket_is_no_source(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    s3: S3Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = put(s3, bucket, ROWS)
    await ingest("shop", **source)
    # An operator moves the platform's files there later: not even what is registered reads it.
    monkeypatch.setitem(resources.settings.__dict__, "storage_url", f"s3://{bucket}/platform")
    run = await ingest("shop")
    assert (run["status"], "SOURCE_BUCKETS" in run["error"]) == ("failed", True)
    assert (await scientist.post("/api/v1/sources/preview", json=source)).status_code == 422


async def test_20_no_reference_reaches_the_credentials(scientist: httpx2.AsyncClient) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "S3_SECRET_ACCESS_KEY", "ASTRALYTIQ_S3_REGION"):
        auth = {"type": "bearer", "secret": f"env:{name}"}
        body = {"name": "a", "kind": "api", "url": "https://example.org", "auth": auth}
        refused = await scientist.post("/api/v1/sources", json=body)
        assert (refused.status_code, "a setting of the platform" in refused.text) == (422, True)


def part(*rows: str) -> bytes:
    return "\n".join(("id,title", *rows, "")).encode()


async def test_a_pattern_reads_all_objects_that_fit_and_only_when_one_has_changed(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    s3: S3Server,
    bucket: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(s3, bucket, part("1,a"), "in/2026/may.csv")
    put(s3, bucket, gzip.compress(part("2,b", "3,c")), "in/june.csv")
    for key in ("in/notes.txt", "other/may.csv", "in/2026/"):
        put(s3, bucket, b"id\n9\n" if key[-1] != "/" else b"", key)
    whole = S3.call

    def by_two(self: S3, operation: str, **arguments: Any) -> dict[str, Any]:
        more: dict[str, Any] = {"MaxKeys": 2} if operation == "list_objects_v2" else {}
        return whole(self, operation, **arguments, **more)

    monkeypatch.setattr(S3, "call", by_two)
    source = {"kind": "csv", "path": f"s3://{bucket}/in/**/*.csv", "primary_key": "id"}
    first = await ingest("shop", **source)
    assert (first["error"], counts(first)) == (None, (3, 3, 0, 0))
    s3.asked.clear()
    again = await ingest("shop")
    assert (again["status"], counts(again)[0]) == ("success", 0)
    assert {call.split("?")[0] for call in s3.asked} == {f"GET /{bucket}"}
    put(s3, bucket, part("1,z"), "in/2026/may.csv")
    assert counts(await ingest("shop")) == (3, 0, 1, 0)
    preview = await scientist.post("/api/v1/sources/preview", json={"name": "shop", **source})
    assert [one["raw"]["id"] for one in preview.json()["records"]] == ["1"]
    assert left_behind(settings) == []


async def test_after_a_crash_a_pattern_goes_on_in_its_objects(
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    s3: S3Server,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("a", "b"):
        put(s3, bucket, part(*(f"{name}{at},x" for at in range(4))), f"in/{name}.csv")
    body = {"kind": "csv", "path": f"s3://{bucket}/in/?.csv", "primary_key": "id", "batch_size": 3}
    await scientist.post("/api/v1/sources", json={"name": "shop", **body})
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 5))
        await survive(resources, run_jobs)
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (8, 8, 0, 0))


async def test_a_pattern_that_fits_nothing_or_too_much_is_told(
    ingest: Ingest,
    s3: S3Server,
    bucket: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for at, (keys, words) in enumerate(
        {
            (): "There is no object that fits",
            ("a/../b.csv",): "cannot be a file's name",
            ("a.csv", "a.csv/b.csv"): "lies below an object",
            ("1.csv", "2.csv", "3.csv"): "fits more than 2 objects",
        }.items()
    ):
        monkeypatch.setattr(object_globs, "MOST_OBJECTS", 2)
        for key in keys:
            put(s3, bucket, part("1,a"), f"in{at}/{key}")
        path = f"s3://{bucket}/in{at}/**/*.csv"
        run = await ingest(f"shop{at}", kind="csv", path=path, primary_key="id")
        assert (run["status"], words in run["error"]) == ("failed", True), run["error"]
    assert left_behind(settings) == []


async def test_a_preview_shows_the_first_rows(
    scientist: httpx2.AsyncClient, s3: S3Server, bucket: str
) -> None:
    body = {"name": "shop", **put(s3, bucket, ROWS)}
    shown = await scientist.post("/api/v1/sources/preview", json=body)
    assert [one["raw"]["id"] for one in shown.json()["records"]][:2] == ["0", "1"]


FAULTS = (
    ("403 Forbidden", "AccessDenied", "failed", "refuses us"),
    ("404 Not Found", "NoSuchKey", "failed", "There is no object"),
    ("503 Busy", "SlowDown", "in_progress", ""),
    ("412 Precondition Failed", "PreconditionFailed", "in_progress", ""),
)


async def test_what_the_server_cannot_give_is_told_or_tried_again(
    ingest: Ingest, s3: S3Server, bucket: str, settings: Settings
) -> None:
    source = put(s3, bucket, ROWS)
    for at, (status, code, outcome, words) in enumerate(FAULTS):
        with s3.failing(partial(of_files, refusal(status, code))):
            run = await ingest(f"shop-{at}", **source)
        assert (run["status"], counts(run)[0]) == (outcome, 0)
        assert words in (run["error"] or "")
    assert left_behind(settings) == []


def of_files(answer: Answer, environ: Environ) -> Answer:
    return answer if environ["PATH_INFO"].endswith(".csv") else None


async def test_an_object_over_the_limit_is_refused(
    ingest: Ingest,
    s3: S3Server,
    bucket: str,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(resources.settings.__dict__, "download_limit_mb", 1)
    run = await ingest("shop", **put(s3, bucket, b"id\n" + b"1\n" * (1 << 19)))
    assert (run["status"], "more than 1 MB" in run["error"]) == ("failed", True)
