"""Files of four kinds become data sets and versions, whatever else they say they are."""

import asyncio
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from openpyxl import Workbook

from astralytiq.app import create_app
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.conftest import SignIn
from tests.factories import folder_of, signed_in

from .factories import CSV, FLOWERS, upload

pytestmark = pytest.mark.anyio

DATASETS = "/api/v1/datasets"


def as_jsonl() -> bytes:
    return "\n".join(map(json.dumps, FLOWERS)).encode()


def as_parquet() -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(FLOWERS), content)
    return content.getvalue()


def as_xlsx() -> bytes:
    book, content = Workbook(), io.BytesIO()
    book.active.append(list(FLOWERS[0]))
    for flower in FLOWERS:
        book.active.append(list(flower.values()))
    book.save(content)
    return content.getvalue()


KINDS = {"csv": CSV.encode(), "jsonl": as_jsonl(), "parquet": as_parquet(), "xlsx": as_xlsx()}


def stored_files(resources: Resources) -> list[str]:
    return sorted(path.suffix for path in (folder_of(resources) / "datasets").iterdir())


async def test_the_same_rows_give_the_same_table_in_every_kind(
    sign_in: SignIn, resources: Resources
) -> None:
    analyst = await sign_in(Role.analyst)
    hashes = set()
    for kind, content in KINDS.items():
        made = await upload(analyst, content, f"flowers.{kind}")
        assert made.status_code == 201, made.text
        assert (made.json()["type"], made.json()["rows"]) == (kind, 60)
        (version,) = (await analyst.get(f"{DATASETS}/{made.json()['id']}/versions")).json()
        assert version["origin"]["format"] == kind
        assert version["origin"]["size"] == len(content)
        hashes.add(version["content_hash"])
    assert len(hashes) == 1
    assert len(stored_files(resources)) == 2 * len(KINDS)


@pytest.mark.parametrize(
    ("kind", "filename", "status"),
    [
        ("parquet", "flowers.csv", 415),
        ("csv", "flowers.parquet", 415),
        ("xlsx", "flowers.jsonl", 415),
        ("csv", "flowers.pickle", 415),
        ("csv", "flowers", 201),
        ("jsonl", "flowers.txt", 201),
    ],
)
async def test_the_content_counts_and_not_the_name_alone(
    sign_in: SignIn, resources: Resources, kind: str, filename: str, status: int
) -> None:
    answer = await upload(await sign_in(Role.analyst), KINDS[kind], filename)
    assert answer.status_code == status, answer.text
    if status == 415:
        assert answer.json()["detail"]
        folder = folder_of(resources) / "datasets"
        assert not folder.exists() or list(folder.iterdir()) == []


async def test_existing_clients_may_send_the_other_kinds_too(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    files = {"file": ("flowers.parquet", KINDS["parquet"])}
    answer = await analyst.post("/api/v1/ml/upload-data", files=files)
    assert answer.status_code == 200
    assert answer.json()["shape"] == [60, 3]
    assert answer.json()["preview"][0] == FLOWERS[0]


async def test_a_file_becomes_the_next_version_of_a_set(
    sign_in: SignIn, resources: Resources
) -> None:
    owner, other = await sign_in(Role.analyst), await sign_in(Role.data_scientist)
    dataset_id = (await upload(owner)).json()["id"]
    path = f"{dataset_id}/versions/upload"
    made = await upload(owner, KINDS["parquet"], "flowers.parquet", path)
    assert (made.status_code, made.json()["reference"]) == (201, f"{dataset_id}@2")
    shown = (await owner.get(f"{DATASETS}/{dataset_id}")).json()
    assert (shown["version"], shown["type"], shown["status"]) == (2, "csv", "ready")
    assert made.headers["etag"] == (await owner.get(f"{DATASETS}/{dataset_id}")).headers["etag"]

    before = stored_files(resources)
    assert (await upload(other, path=path)).status_code == 403
    assert (await upload(owner, path="999/versions/upload")).status_code == 404
    assert (await upload(owner, "a,b\n1\n", path=path)).status_code == 422
    stale = await owner.post(
        f"{DATASETS}/{path}", files={"file": ("a.csv", CSV)}, headers={"If-Match": '"1"'}
    )
    assert stale.status_code == 412
    assert stored_files(resources) == before


async def test_22_what_unpacks_to_too_much_is_413_and_leaves_nothing(settings: Settings) -> None:
    app: FastAPI = create_app(settings.model_copy(update={"unpacked_limit_mb": 1}))
    content = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(300_000))}), content, compression="zstd")
    assert len(content.getvalue()) < 1 << 21
    async with app.router.lifespan_context(app), await signed_in(app, Role.analyst) as analyst:
        answer = await upload(analyst, content.getvalue(), "a.parquet")
        assert (answer.status_code, "1 MB" in answer.json()["detail"]) == (413, True)
        assert list((folder_of(app.state.resources) / "datasets").iterdir()) == []


async def test_an_upload_that_comes_again_with_its_key_is_answered_and_not_made_again(
    sign_in: SignIn, resources: Resources
) -> None:
    analyst = await sign_in(Role.analyst)
    analyst.headers["Idempotency-Key"] = "once"
    first, again = [await upload(analyst) for _ in range(2)]
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    path = f"{first.json()['id']}/versions/upload"
    second, third = [await upload(analyst, "a\n1\n", path=path) for _ in range(2)]
    assert (third.json(), third.json()["version"]) == (second.json(), 2)
    data, file = "/api/v1/ml/upload-data", {"file": ("flowers.csv", CSV)}
    assert (await analyst.post(data, files=file)).json()["dataset_id"] == first.json()["id"]
    assert (await analyst.get(DATASETS)).headers["x-total-count"] == "1"
    assert len(stored_files(resources)) == 4

    for other in (("a\n1\n", "flowers.csv"), (CSV, "roses.csv")):
        refused = await upload(analyst, *other)
        assert (refused.status_code, "another body" in refused.json()["detail"]) == (422, True)
    analyst.headers["Idempotency-Key"] = "x" * 256
    assert (await upload(analyst)).status_code == 422
    stranger = await sign_in(Role.analyst)
    stranger.headers["Idempotency-Key"] = "once"
    assert (await upload(stranger)).json()["id"] != first.json()["id"]


async def test_uploads_with_one_key_at_the_same_moment_make_one_set(
    sign_in: SignIn, resources: Resources
) -> None:
    analyst = await sign_in(Role.analyst)
    analyst.headers["Idempotency-Key"] = "at once"
    answers = await asyncio.gather(*(upload(analyst) for _ in range(3)))
    assert [answer.json() for answer in answers] == [answers[0].json()] * 3
    assert len(stored_files(resources)) == 2
    await analyst.delete(f"{DATASETS}/{answers[0].json()['id']}")
    gone = await upload(analyst)
    assert (gone.status_code, "use a new key" in gone.json()["detail"]) == (404, True)
