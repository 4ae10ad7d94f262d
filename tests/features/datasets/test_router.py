"""What a caller meets at the data-set doors."""

import asyncio
import json

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from tests.conftest import SignIn
from tests.factories import folder_of

from .factories import CSV, upload

pytestmark = pytest.mark.anyio

DATASETS = "/api/v1/datasets"
UPLOAD_DATA = "/api/v1/ml/upload-data"


async def test_existing_clients_upload_and_read_what_they_know(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    content = "day,length,species\n2024-01-31,1.5,setosa\n2024-02-01,,virginica\n"
    answer = await analyst.post(UPLOAD_DATA, files={"file": ("../../etc/f.csv", content)})
    assert answer.status_code == 200
    found = answer.json()
    dataset_id = found.pop("dataset_id")
    assert found == {
        "filename": "f.csv",
        "shape": [2, 3],
        "columns": ["day", "length", "species"],
        "dtypes": {"day": "date", "length": "float64", "species": "string"},
        "preview": [
            {"day": "2024-01-31", "length": 1.5, "species": "setosa"},
            {"day": "2024-02-01", "length": None, "species": "virginica"},
        ],
        "rows": 2,
        "date_range": {"column": "day", "min": "2024-01-31", "max": "2024-02-01"},
        "message": f"Stored as the data set 'f', version {dataset_id}@1.",
    }
    (version,) = (await analyst.get(f"{DATASETS}/{dataset_id}/versions")).json()
    assert (version["origin"]["kind"], version["origin"]["filename"]) == ("upload", "f.csv")


async def test_the_same_file_may_come_again_and_gets_a_name_of_its_own(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    names = [(await upload(analyst)).json()["name"] for _ in range(3)]
    assert names == ["flowers", "flowers (2)", "flowers (3)"]


@pytest.mark.parametrize("path", [f"{DATASETS}/upload", UPLOAD_DATA])
async def test_an_upload_is_a_form(sign_in: SignIn, path: str) -> None:
    analyst = await sign_in(Role.analyst)
    assert (await analyst.post(path, json={"file": "a,b"})).status_code == 415
    assert (await analyst.post(path)).status_code == 422


async def test_uploads_at_the_same_moment_do_not_clash(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    answers = await asyncio.gather(*(upload(analyst) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.json()["name"] for answer in answers}) == 5


async def test_a_name_that_was_chosen_is_taken_once_for_each_owner(sign_in: SignIn) -> None:
    first, second = await sign_in(Role.analyst), await sign_in(Role.analyst)
    answers = [
        await client.post(
            f"{DATASETS}/upload", files={"file": ("a.csv", CSV)}, data={"name": "garden"}
        )
        for client in (first, first, second)
    ]
    assert [answer.status_code for answer in answers] == [201, 409, 201]
    assert answers[0].headers["location"] == f"{DATASETS}/{answers[0].json()['id']}"


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "Row 3: 1 values where the header names 2 columns."),
    ],
)
async def test_a_malformed_file_is_refused_and_leaves_nothing_behind(
    sign_in: SignIn, resources: Resources, content: str, detail: str
) -> None:
    analyst = await sign_in(Role.analyst)
    answer = await upload(analyst, content)
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]
    assert (await analyst.get(DATASETS)).json() == []
    assert list((folder_of(resources) / "datasets").iterdir()) == []


async def test_other_files_are_refused_by_their_kind(sign_in: SignIn) -> None:
    answer = await upload(await sign_in(Role.analyst), filename="book.xlsx")
    assert (answer.status_code, ".xlsx" in answer.json()["detail"]) == (415, True)


@pytest.mark.parametrize("filename", ["..", "/etc/passwd", "C:\\x\\..\\y.csv", "a\tb\n.csv"])
async def test_21_a_file_name_is_never_a_path(
    sign_in: SignIn, resources: Resources, filename: str
) -> None:
    answer = await upload(await sign_in(Role.analyst), filename=filename)
    assert answer.status_code == 201
    assert not set(answer.json()["name"]) & set("/\\\n\t")
    stored = [path.suffix for path in (folder_of(resources) / "datasets").iterdir()]
    assert sorted(stored) == [".csv", ".parquet"]


async def test_the_list_is_paged_newest_first(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    for _ in range(3):
        await upload(analyst)
    answer = await analyst.get(DATASETS, params={"limit": 2})
    assert [found["name"] for found in answer.json()] == ["flowers (3)", "flowers (2)"]
    assert answer.headers["x-total-count"] == "3"
    assert 'rel="next"' in answer.headers["link"]


async def test_a_set_is_deleted_in_the_version_that_was_seen(
    sign_in: SignIn, database: Database
) -> None:
    analyst = await sign_in(Role.analyst)
    dataset_id = (await upload(analyst)).json()["id"]
    url = f"{DATASETS}/{dataset_id}"
    tag = (await analyst.get(url)).headers["etag"]
    assert (await analyst.get(url, headers={"If-None-Match": tag})).status_code == 304
    assert (await analyst.delete(url, headers={"If-Match": '"99"'})).status_code == 412
    assert (await analyst.delete(url, headers={"If-Match": tag})).status_code == 204
    for path in ("", "/versions", "/preview", "/download"):
        assert (await analyst.get(url + path)).status_code == 404
    assert (await upload(analyst)).json()["name"] == "flowers"
    async with database.reading() as session:
        query = select(AuditEntry.action).where(AuditEntry.resource == f"dataset/{dataset_id}")
        assert set(await session.scalars(query)) == {"dataset.created", "dataset.deleted"}


async def test_the_team_reads_a_set_but_only_its_owner_and_admins_change_it(
    sign_in: SignIn,
) -> None:
    owner, other = await sign_in(Role.analyst), await sign_in(Role.data_scientist)
    viewer, admin = await sign_in(Role.viewer), await sign_in(Role.admin)
    url = f"{DATASETS}/{(await upload(owner)).json()['id']}"
    assert (await viewer.get(f"{url}/preview")).status_code == 200
    for client in (other, viewer):
        assert (await client.delete(url)).status_code == 403
        assert (await client.post(f"{url}/versions", json={})).status_code == 403
    assert (await upload(viewer)).status_code == 403
    assert (await viewer.post(UPLOAD_DATA, files={"file": ("a.csv", CSV)})).status_code == 403
    assert (await admin.delete(url)).status_code == 204


async def test_nobody_in_particular_is_not_let_in(client: httpx2.AsyncClient) -> None:
    for path in ("", "/1", "/1/versions", "/1/preview", "/1/download"):
        assert (await client.get(DATASETS + path)).status_code == 401
    assert (await upload(client)).status_code == 401
    body = {"name": "a", "from_records": {"source": "b"}}
    assert (await client.post(DATASETS, json=body)).status_code == 401


async def test_an_uploaded_set_has_no_source_to_freeze_again(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    url = f"{DATASETS}/{(await upload(analyst)).json()['id']}/versions"
    assert (await analyst.post(url)).status_code == 422


@pytest.mark.parametrize("dataset_id", ["0", "-1", "9" * 30, "x"])
async def test_a_number_that_is_no_id_is_refused(sign_in: SignIn, dataset_id: str) -> None:
    viewer = await sign_in(Role.viewer)
    assert (await viewer.get(f"{DATASETS}/{dataset_id}")).status_code == 422


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"name": "a\nb"}, {"description": "\0"}, {"size": 1}, {"from_records": {}}],
)
async def test_a_body_that_is_not_as_described_is_refused(
    sign_in: SignIn, change: dict[str, object]
) -> None:
    analyst = await sign_in(Role.analyst)
    body = {"name": "garden", "from_records": {"source": "flowers"}, **change}
    headers = {"Content-Type": "application/json"}
    answer = await analyst.post(DATASETS, content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
