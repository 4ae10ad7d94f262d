"""Bent input never costs good data: each good row is stored once, each bad one is set aside."""

import gzip
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pyarrow as pa
import pytest

from astralytiq.core import jobs
from astralytiq.core.resources import Resources
from astralytiq.engines.etl import compressed
from astralytiq.features.ingestion.read_csv import CsvReader
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts
from tests.features.ingestion.servers import Reply, serving
from tests.features.ingestion.test_csv_runs import dying, once_each, survive

pytestmark = pytest.mark.anyio

SHOP: dict[str, Any] = {"kind": "csv", "path": "shop.csv", "primary_key": "id"}
GOOD = b"1,a\n2,b\n"
BAD: dict[str, tuple[bytes, str]] = {
    "short": (b"x\n", "has 1 cells where the header has 2"),
    "long": (b"x,y,z\n", "has 3 cells"),
    "other bytes": (b"x,\xff\xfe\n", "is not written in utf-8-sig"),
    "NUL": (b"x,a\x00b\n", "contains a NUL character"),
    "open quote": (b'x,"never closed\n', "opens a quote that is never closed"),
    "no key": (b",y\n", "primary key 'id' is missing"),
    "long key": (b"x" * 501 + b",y\n", "more than 500 characters"),
}


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "two gzips in one": lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]),
    "zstd": zstd,
}


async def stored(client: httpx2.AsyncClient) -> list[str]:
    """The ids that arrived, each as often as it is stored."""
    found = (await client.get("/data", params={"limit": 100})).json()["data"]
    return sorted((record["source_id"] for record in found), key=lambda one: (len(one), one))


async def rejects(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v1/etl/rejects")).json()
    return found


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_row_costs_itself_only(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, kind: str
) -> None:
    row, words = BAD[kind]
    (inbox / "shop.csv").write_bytes(b"id,title\n1,a\n" + row + b"2,b\n3,c\n")
    run = await ingest("shop", **SHOP, batch_size=2)
    assert (run["status"], counts(run)) == ("success", (4, 3, 0, 1))
    assert await stored(scientist) == ["1", "2", "3"]
    (reject,) = await rejects(scientist)
    assert words in reject["reason"]
    assert reject["payload"]


async def test_everything_bad_at_once_costs_the_bad_rows_only(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    rows = [row + f"{at},good\n".encode() for at, (row, _) in enumerate(BAD.values())]
    (inbox / "shop.csv").write_bytes(b"\xef\xbb\xbfid,title\r\n" + b"".join(rows) * 2)
    run = await ingest("shop", **SHOP, batch_size=3)
    assert (run["status"], counts(run)[0], counts(run)[3]) == ("success", 28, 14)
    assert await stored(scientist) == [str(at) for at in range(len(BAD))]
    reasons = [reject["reason"] for reject in await rejects(scientist)]
    for (_, words), reason in zip([*BAD.values()] * 2, reasons, strict=True):
        assert words in reason


async def test_mixed_encodings_are_read_when_the_encoding_is_to_be_detected(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_bytes("id;title\n1;Grün\n".encode() + "2;Grün\n".encode("cp1252"))
    detected = {"encoding": "auto", "delimiter": "auto", "quote": "auto", "header": "auto"}
    run = await ingest("shop", **SHOP, **detected)
    assert counts(run) == (2, 2, 0, 0)
    found = (await scientist.get("/data")).json()["data"]
    assert [record["title"] for record in found] == ["Grün", "Grün"]


async def test_a_file_without_a_header_gets_the_names_of_its_source(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    (inbox / "shop.csv").write_bytes(GOOD)
    run = await ingest("shop", **SHOP, header=["id", "title"])
    assert counts(run) == (2, 2, 0, 0)
    assert await stored(scientist) == ["1", "2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": ["id", "id"]},
        {"header": []},
        {"delimiter": ",,"},
        {"quote": "x"},
        {"encoding": "utf-7"},
        {"encoding": "unicode_escape"},
    ],
)
async def test_ways_to_write_a_file_that_cannot_be_are_refused(
    scientist: httpx2.AsyncClient, wrong: dict[str, Any]
) -> None:
    refused = await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP, **wrong})
    assert refused.status_code == 422


async def test_a_web_page_in_a_tables_place_is_no_success(inbox: Path, ingest: Ingest) -> None:
    (inbox / "shop.csv").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    run = await ingest("shop", **SHOP)
    assert (run["status"], run["records_processed"]) == ("failed", 0)
    assert "'shop.csv' cannot be read: it is no CSV but a web page, or XML" in run["error"]


async def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_being_read(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, run_jobs: RunJobs
) -> None:
    (inbox / "a.csv").write_bytes(b"id,id\n8,8\n")
    (inbox / "b.csv").write_bytes(b"id,title\n" + GOOD)
    run = await ingest("shop", **SHOP | {"path": "*.csv"})
    assert run["status"] == "failed"
    assert "'a.csv' cannot be read: its header names id more than once" in run["error"]
    assert await stored(scientist) == ["1", "2"]
    (inbox / "a.csv").write_bytes(b"id,title\n8,mended\n")
    await scientist.post(f"/api/v1/jobs/{run['job_id']}/retry")
    await run_jobs()
    assert await stored(scientist) == ["1", "2", "8"]


# Packed files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packer", PACKERS)
async def test_packed_files_are_told_by_their_bytes(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, packer: str
) -> None:
    (inbox / "shop.csv").write_bytes(PACKERS[packer](b"id,title\n1,a\nragged\n2,b\n"))
    run = await ingest("shop", **SHOP)
    assert (run["status"], counts(run)) == ("success", (3, 2, 0, 1))
    assert await stored(scientist) == ["1", "2"]


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
async def test_a_packed_file_is_taken_up_where_it_stopped(
    inbox: Path,
    scientist: httpx2.AsyncClient,
    resources: Resources,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
    packer: str,
) -> None:
    rows = "".join(f"{at},Item {at}\n" for at in range(10))
    (inbox / "shop.csv").write_bytes(PACKERS[packer](b"id,title\n" + rows.encode()))
    await scientist.post("/api/v1/sources", json={"name": "shop", **SHOP, "batch_size": 3})
    started = await scientist.post("/api/v1/sources/shop/run")
    with monkeypatch.context() as patch:
        patch.setattr(CsvReader, "next_batch", dying(CsvReader.next_batch, 3))
        await survive(resources, run_jobs)
    await run_jobs()
    run = (await scientist.get(started.headers["location"])).json()
    assert (run["status"], counts(run)) == ("success", (10, 10, 0, 0))
    await once_each(resources.database, 10)


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
async def test_a_packed_file_that_is_cut_off_gives_what_it_has_and_fails(
    inbox: Path, ingest: Ingest, scientist: httpx2.AsyncClient, packer: str
) -> None:
    noise = Random(7)
    rows = "".join(f"{at},{noise.randbytes(10_000).hex()}\n" for at in range(20))
    (inbox / "shop.csv").write_bytes(PACKERS[packer](b"id,title\n" + rows.encode())[:-4])
    run = await ingest("shop", **SHOP)
    assert run["status"] == "failed"
    assert "cut off" in run["error"]
    # zstd packs 128 KB as one: what is cut takes its neighbours along.
    read = await stored(scientist)
    assert read == [str(at) for at in range(len(read))]
    assert 10 < len(read) <= 20


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
async def test_22_a_bomb_is_put_out_in_plain_words(
    inbox: Path, ingest: Ingest, monkeypatch: pytest.MonkeyPatch, packer: str
) -> None:
    monkeypatch.setattr(compressed, "RATIO_FROM", 1 << 20)
    (inbox / "shop.csv").write_bytes(PACKERS[packer](b"id,title\n1," + bytes(4 << 20)))
    run = await ingest("shop", **SHOP)
    assert run["status"] == "failed"
    assert "unpacks to more than 300 times its size" in run["error"]


async def test_22_nothing_unpacks_without_end(
    inbox: Path, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "MOST_UNPACKED", 10)
    (inbox / "shop.csv").write_bytes(gzip.compress(b"id,title\n" + GOOD))
    run = await ingest("shop", **SHOP)
    assert "unpacks to more than" in run["error"]


# JSON --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'[{"id": NaN}]',
        b'[{"id": Infinity}]',
        b'[{"id": 1}, {"id": 2',
        b'[{"id": "\xff"}]',
        b"",
    ],
    ids=["deep", "nan", "infinity", "cut", "bytes", "empty"],
)
async def test_22_answers_that_are_not_json_fail_the_run_in_plain_words(
    ingest: Ingest,
    scientist: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
) -> None:
    monkeypatch.setattr(jobs, "BACKOFF_SECONDS", 0.0)  # What broke off is tried again.
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert run["status"] == "failed"
    assert "did not answer valid JSON" in run["error"]
    assert await stored(scientist) == []


async def test_a_record_that_is_nested_too_deep_costs_itself_only(
    ingest: Ingest, scientist: httpx2.AsyncClient
) -> None:
    deep = b'{"id": 2, "x": ' + b"[" * 400 + b"]" * 400 + b"}"
    body = b'[{"id": 1}, ' + deep + b', 7, {"id": 3, "title": "a\\u0000b"}, {"id": 4}]'
    with serving(lambda _: Reply(body)) as server:
        run = await ingest("items", kind="api", url=server.url, primary_key="id")
    assert (run["status"], counts(run)) == ("success", (5, 2, 0, 3))
    assert await stored(scientist) == ["1", "4"]
    words = ["more than 100 levels deep", "not an object", "NUL character"]
    found = await rejects(scientist)
    for reject, said in zip(found, words, strict=True):
        assert said in reject["reason"]
    assert "the raw payload has it" in found[0]["payload"]["not_shown"]
