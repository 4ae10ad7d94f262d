"""Files that people send: whole, where their source reads them, and nowhere else."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.ingestion.cli import source
from tests.conftest import RunJobs, SignIn
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.test_quality_commands import Command, command

__all__ = ["command"]

pytestmark = pytest.mark.anyio

DOOR = "/api/v1/sources/shop/file"
ROWS = b"id,title\n1,kettle\n2,lamp\n"
SHOP: dict[str, Any] = {"kind": "csv", "path": "uploads/shop/rows.csv", "primary_key": "id"}


async def send(
    client: httpx2.AsyncClient, content: bytes = ROWS, filename: str = "other.csv"
) -> httpx2.Response:
    return await client.put(DOOR, files={"file": (filename, content, "text/csv")})


def files_below(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and "csv" in one.name]


async def register(client: httpx2.AsyncClient, **fields: Any) -> None:
    made = await client.post("/api/v1/sources", json={"name": "shop", **SHOP, **fields})
    assert made.status_code == 201, made.text


async def test_a_file_that_was_sent_is_read_and_the_next_takes_its_place(
    scientist: httpx2.AsyncClient, ingest: Ingest, inbox: Path, resources: Resources
) -> None:
    await register(scientist)
    sent = await send(scientist)
    assert sent.json() == {
        "path": "uploads/shop/rows.csv",
        "size": len(ROWS),
        "sha256": hashlib.sha256(ROWS).hexdigest(),
    }
    assert counts(await ingest("shop")) == (2, 2, 0, 0)
    await send(scientist, ROWS + b"3,chair\n")
    assert counts(await ingest("shop")) == (3, 1, 0, 0)
    assert [one.name for one in (inbox / "uploads" / "shop").iterdir()] == ["rows.csv"]
    assert list((inbox / ".uploads").iterdir()) == []
    async with resources.database.reading() as session:
        query = select(AuditEntry).filter_by(action="source.uploaded").order_by(AuditEntry.id)
        first, _ = (await session.scalars(query)).all()
    assert (first.resource, first.details["size"]) == ("source/shop", len(ROWS))


async def test_an_upload_that_comes_again_with_its_key_takes_no_newer_files_place(
    scientist: httpx2.AsyncClient, inbox: Path
) -> None:
    await register(scientist)
    headers = {"Idempotency-Key": "monday"}
    newer = ROWS + b"3,chair\n"

    async def put(content: bytes) -> httpx2.Response:
        return await scientist.put(DOOR, files={"file": ("a.csv", content)}, headers=headers)

    first = await put(ROWS)
    await send(scientist, newer)
    again, other = await put(ROWS), await put(newer)
    assert (again.status_code, again.json()) == (200, first.json())
    assert (inbox / "uploads" / "shop" / "rows.csv").read_bytes() == newer
    assert other.status_code == 422
    assert "Idempotency-Key was used with another body" in other.json()["detail"]


async def test_of_a_pattern_the_files_name_decides(
    scientist: httpx2.AsyncClient, ingest: Ingest
) -> None:
    await register(scientist, path="uploads/shop/*.csv")
    for day in (b"1", b"2"):
        sent = await send(scientist, b"id\n" + day + b"\n", f"C:\\days\\{day.decode()}.csv")
        assert sent.json()["path"] == f"uploads/shop/{day.decode()}.csv"
    assert counts(await ingest("shop")) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    "filename", ["../../escape.csv", "/etc/rows.csv", "a/../../b.csv", "..csv", "nul\x00.csv"]
)
async def test_21_a_name_is_never_a_path(
    scientist: httpx2.AsyncClient, inbox: Path, tmp_path: Path, filename: str
) -> None:
    await register(scientist, path="uploads/shop/*csv")
    sent = await send(scientist, ROWS, filename)
    assert sent.status_code in (200, 422)
    assert {one.parent for one in files_below(tmp_path)} <= {inbox / "uploads" / "shop"}


@pytest.mark.parametrize(
    ("path", "filename", "status", "words"),
    [
        ("shop.csv", "a.csv", 409, "set its path to 'uploads/shop/FILE'"),
        ("uploads/other/rows.csv", "a.csv", 409, "does not read its uploads"),
        ("uploads/shop/deep/rows.csv", "a.csv", 409, "does not read its uploads"),
        (f"uploads/shop/{'x' * 300}", "a.csv", 409, "at most 150 bytes"),
        ("uploads/shop/*.csv", "a.tsv", 422, "does not fit the source's path"),
        ("uploads/shop/*", "..", 422, "needs a plain name"),
        ("uploads/shop/*", "*", 422, "needs a plain name"),
    ],
)
async def test_what_the_source_would_not_read_is_refused(
    scientist: httpx2.AsyncClient, inbox: Path, path: str, filename: str, status: int, words: str
) -> None:
    await register(scientist, path=path)
    refused = await send(scientist, ROWS, filename)
    assert (refused.status_code, words in refused.json()["detail"]) == (status, True)
    assert files_below(inbox) == []


async def test_21_no_link_leads_an_upload_out_of_the_inbox(
    scientist: httpx2.AsyncClient, inbox: Path, tmp_path: Path
) -> None:
    await register(scientist)
    (tmp_path / "outside").mkdir()
    (inbox / "uploads").mkdir()
    (inbox / "uploads" / "shop").symlink_to(tmp_path / "outside")
    refused = await send(scientist)
    assert (refused.status_code, list((tmp_path / "outside").iterdir())) == (403, [])


async def test_22_a_file_over_the_limit_is_refused(
    scientist: httpx2.AsyncClient, inbox: Path, resources: Resources
) -> None:
    await register(scientist)
    limit = resources.settings.upload_limit_mb << 20
    declared = {"Content-Length": str(limit + 1), "Content-Type": "multipart/form-data; boundary=x"}
    refused = await scientist.put(DOOR, content=b"", headers=declared)
    assert refused.status_code == 413


async def test_a_file_is_sent_by_the_owner_or_an_admin_alone(
    scientist: httpx2.AsyncClient, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await register(scientist)
    answers = [
        (await send(who)).status_code
        for who in (
            client,
            await sign_in(Role.analyst),
            await sign_in(Role.data_scientist),
            await sign_in(Role.admin),
        )
    ]
    assert answers == [401, 403, 403, 200]


async def test_what_was_sent_goes_with_the_records_of_its_source(
    scientist: httpx2.AsyncClient, inbox: Path
) -> None:
    for records, left in (("keep", True), ("delete", False)):
        await register(scientist)
        await send(scientist)
        await scientist.delete("/api/v1/sources/shop", params={"records": records})
        assert (inbox / "uploads" / "shop").exists() is left


async def test_the_command_registers_a_source_for_its_file(
    command: Command, tmp_path: Path, ingest: Ingest, run_jobs: RunJobs
) -> None:
    (tmp_path / "meters.csv").write_bytes(ROWS)
    sent = await command(source, "upload", str(tmp_path / "meters.csv"), "--key", "id", "--json")
    assert json.loads(sent.stdout)["path"] == "uploads/meters/meters.csv"
    assert counts(await ingest("meters")) == (2, 2, 0, 0)
    (tmp_path / "may.csv").write_bytes(ROWS + b"3,chair\n")
    again = await command(source, "upload", str(tmp_path / "may.csv"), "--source", "meters")
    assert again.exit_code == 0, again.stderr
    assert counts(await ingest("meters")) == (3, 1, 0, 0)
    missing = await command(source, "upload", str(tmp_path / "none.csv"))
    assert (missing.exit_code, "is no file" in missing.stderr) == (2, True)
