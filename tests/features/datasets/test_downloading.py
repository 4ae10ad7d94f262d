"""Versions leave as CSV, JSON Lines or Parquet, and come back as they were."""

import csv
import io
import json

import httpx2
import pytest

from astralytiq.core.security import Role
from tests.conftest import SignIn

from .factories import CSV, upload

pytestmark = pytest.mark.anyio

DATASETS = "/api/v1/datasets"
ODD = ["=1+1", "+a", "-b", "@c", "\td", "\re", "'=f", "'g", "-5", "1e9", "", 'h"i,\nj', "ü", "x"]


async def made(client: httpx2.AsyncClient, content: str | bytes, filename: str) -> str:
    answer = await upload(client, content, filename)
    assert answer.status_code == 201, answer.text
    return f"{DATASETS}/{answer.json()['id']}"


async def content_hash(client: httpx2.AsyncClient, url: str) -> str:
    (version,) = (await client.get(f"{url}/versions")).json()
    return str(version["content_hash"])


@pytest.mark.parametrize(
    ("kind", "media"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_what_is_downloaded_is_the_same_table_when_it_comes_back(
    sign_in: SignIn, kind: str, media: str
) -> None:
    analyst = await sign_in(Role.analyst)
    text = "id,x,at,day,ok,name\n" + "".join(
        f"{n},{n / 7},2024-01-31T12:00:{n % 60:02}Z,2024-01-{n % 28 + 1:02},{n % 2 == 0},n {n}\n"
        for n in range(20_000)
    )
    url = await made(analyst, text + ",,,,,\n", "a.csv")
    file = await analyst.get(f"{url}/download", params={"format": kind})
    assert file.status_code == 200
    assert file.headers["content-type"] == media
    assert file.headers["content-disposition"] == f'attachment; filename="a-v1.{kind}"'
    again = await made(analyst, file.content, f"b.{kind}")
    assert await content_hash(analyst, again) == await content_hash(analyst, url)
    known = await analyst.get(
        f"{url}/download",
        params={"format": kind},
        headers={"If-None-Match": file.headers["etag"]},
    )
    assert (known.status_code, known.content) == (304, b"")


async def test_24_a_spreadsheet_finds_no_formula_and_import_gives_the_text_back(
    sign_in: SignIn,
) -> None:
    analyst = await sign_in(Role.analyst)
    lines = "\n".join(json.dumps({"=name": one, "n": -at}) for at, one in enumerate(ODD))
    url = await made(analyst, lines, "a.jsonl")
    file = (await analyst.get(f"{url}/download", params={"format": "csv"})).content.decode()
    header, *rows = csv.reader(io.StringIO(file, newline=""))
    assert header == ["'=name", "n"]
    assert [row[1] for row in rows] == [str(-at) for at in range(len(ODD))]
    for (cell, _), text in zip(rows, ODD, strict=True):
        assert cell == ("'" + text if text in ODD[:7] else text)
    again = await made(analyst, file, "b.csv")
    shown = (await analyst.get(f"{again}/preview", params={"limit": 100})).json()
    assert [row["=name"] for row in shown["rows"]] == [text or None for text in ODD]


async def test_ranges_are_answered_of_parquet_alone(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    url = await made(analyst, CSV, "a.csv") + "/download"
    headers = {"Range": "bytes=0-3"}
    part = await analyst.get(url, headers=headers)
    assert (part.status_code, part.content) == (206, b"PAR1")
    whole = await analyst.get(url, params={"format": "csv"}, headers=headers)
    assert (whole.status_code, "accept-ranges" in whole.headers) == (200, False)
    assert len(whole.content.splitlines()) == 61
    assert (await analyst.get(url, params={"format": "pickle"})).status_code == 422


async def test_a_name_is_part_of_no_header(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    files, named = {"file": ("a.csv", CSV)}, {"name": 'ä"; filename="x.exe'}
    answer = await analyst.post(f"{DATASETS}/upload", files=files, data=named)
    url = f"{DATASETS}/{answer.json()['id']}/download"
    found = (await analyst.get(url, params={"format": "csv"})).headers["content-disposition"]
    assert found.startswith("attachment; filename*=utf-8''%C3%A4%22%3B")
    assert '"' not in found
