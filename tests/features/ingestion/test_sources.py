"""Registering sources."""

from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from astralytiq.core.audit import AuditEntry
from astralytiq.core.db import Database
from astralytiq.core.errors import Unavailable
from astralytiq.core.security import SYSTEM
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import deleting, service
from astralytiq.features.ingestion.models import Checkpoint
from astralytiq.features.ingestion.schemas import CsvSource, source_spec
from tests.conftest import RunJobs
from tests.features.ingestion.conftest import Ingest, counts

pytestmark = pytest.mark.anyio

SOURCES = "/api/v1/sources"
CSV: dict[str, Any] = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
API: dict[str, Any] = {
    "name": "repos",
    "kind": "api",
    "url": "https://api.example.com/items",
    "auth": {"type": "bearer", "secret": "env:REPOS_TOKEN"},
    "pagination": {"style": "page", "param": "p", "size_param": "n", "size": 50},
    "mapping": {"title": "name", "author": "owner.login"},
}


async def test_a_source_is_registered_found_and_listed(scientist: httpx2.AsyncClient) -> None:
    for body in (CSV, API):
        created = await scientist.post(SOURCES, json=body)
        assert created.status_code == 201
        simple = {key: value for key, value in body.items() if isinstance(value, str)}
        assert simple.items() <= created.json().items()
        found = await scientist.get(f"{SOURCES}/{body['name']}")
        assert found.json() == created.json()
        assert found.headers["etag"] == created.headers["etag"]
    listed = await scientist.get(f"{SOURCES}/?limit=1")
    assert [source["name"] for source in listed.json()] == ["repos"]
    assert listed.headers["x-total-count"] == "2"


async def test_a_name_is_taken_once(scientist: httpx2.AsyncClient) -> None:
    answers = [await scientist.post(SOURCES, json=CSV) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert (await scientist.get(f"{SOURCES}/other")).status_code == 404


@pytest.mark.parametrize("name", ["", "Shop", "-shop", "a/b", "a b", "x" * 101, "sh\nop", "../x"])
async def test_names_are_slugs(scientist: httpx2.AsyncClient, name: str) -> None:
    answer = await scientist.post(SOURCES, json=CSV | {"name": name})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"paht": "x.csv"},
        {"kind": "rss"},
        {"url": "https://a.example"},
        {"delimiter": ";;"},
        {"delimiter": "\n"},
        {"encoding": "klingon"},
        {"encoding": "base64"},
        {"batch_size": 0},
        {"mapping": {"colour": "x"}},
        {"primary_key": []},
        {"path": "../secrets.csv"},
        {"path": "a/../../secrets.csv"},
        {"path": "/etc/passwd"},
        {"path": "/etc/*"},
        {"path": "~/x.csv"},
    ],
)
async def test_20_what_makes_no_sense_or_leaves_the_roots_is_refused(
    scientist: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    assert (await scientist.post(SOURCES, json=CSV | change)).status_code == 422
    assert (await scientist.get(SOURCES)).json() == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": "file:///etc/passwd"},
        {"url": "https://user:hunter2@api.example.com/"},
        {"url": "https://api.example.com/?api_key=hunter2"},
        {"params": {"token": "hunter2"}},
        {"headers": {"Authorization": "Bearer hunter2"}},
        {"headers": {"X-API-Key": "hunter2"}},
        {"headers": {"Host": "inner"}},
        {"headers": {"X": "a\r\nY: hunter2"}},
        {"auth": {"type": "bearer", "secret": "hunter2"}},
        {"auth": {"type": "bearer", "secret": "env:hunter2; x"}},
        {"auth": {"type": "bearer", "secret": "env:SECRET_KEY"}},
        {"auth": {"type": "bearer", "secret": "env:ASTRALYTIQ_SECRET_KEY"}},
        {"auth": {"type": "bearer", "secret": "env:database_url"}},
        {"auth": {"type": "basic", "secret": "env:OK"}},
        {"auth": {"type": "header", "secret": "env:OK"}},
        {"auth": {"type": "header", "name": "Host", "secret": "env:OK"}},
        {"pagination": {"style": "cursor"}},
        {"pagination": {"style": "page", "size": 50}},
        {"records_path": "a["},
    ],
)
async def test_20_secrets_and_nonsense_in_web_sources_are_refused_without_repeating_them(
    scientist: httpx2.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await scientist.post(SOURCES, json=API | change)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


async def test_changes_are_partial_checked_and_versioned(scientist: httpx2.AsyncClient) -> None:
    first = await scientist.post(SOURCES, json=API)
    url, seen = f"{SOURCES}/repos", {"If-Match": first.headers["etag"]}
    changed = await scientist.patch(url, json={"enabled": False, "auth": None}, headers=seen)
    assert changed.status_code == 200
    assert (changed.json()["enabled"], changed.json()["auth"]) == (False, None)
    assert changed.json()["pagination"]["param"] == "p"
    assert changed.headers["etag"] != first.headers["etag"]
    assert (await scientist.put(url, json={"batch_size": 5}, headers=seen)).status_code == 412
    whole = await scientist.put(url, json=API)
    assert whole.json()["auth"]["secret"] == "env:REPOS_TOKEN"
    for wrong in ({"path": "x.csv"}, {"colour": 1}, {"name": "other"}, {"kind": "csv"}):
        assert (await scientist.patch(url, json=wrong)).status_code == 422
    await scientist.post(SOURCES, json=CSV)
    outside = await scientist.patch(f"{SOURCES}/shop", json={"path": "/etc/passwd"})
    assert outside.status_code == 422
    assert (await scientist.get(f"{SOURCES}/shop")).json()["path"] == "shop.csv"


async def test_a_tab_is_a_delimiter(scientist: httpx2.AsyncClient) -> None:
    created = await scientist.post(SOURCES, json=CSV | {"delimiter": "\t"})
    assert created.json()["delimiter"] == "\t"


async def test_every_change_is_audited_without_its_contents(
    scientist: httpx2.AsyncClient, database: Database
) -> None:
    await scientist.post(SOURCES, json=API)
    await scientist.patch(f"{SOURCES}/repos", json={"url": "https://b.example.com/"})
    await scientist.delete(f"{SOURCES}/repos")
    async with database.reading() as session:
        query = select(AuditEntry).where(AuditEntry.resource == "source/repos")
        entries = (await session.scalars(query.order_by(AuditEntry.id))).all()
    assert [e.action for e in entries] == ["source.created", "source.changed", "source.deleted"]
    assert entries[1].details == {"fields": ["url"]}


@pytest.mark.parametrize(("records", "left"), [("keep", 2), ("delete", 0), (None, 2)])
async def test_deleting_a_source_asks_about_its_records(
    scientist: httpx2.AsyncClient,
    database: Database,
    inbox: Path,
    ingest: Ingest,
    records: str | None,
    left: int,
) -> None:
    (inbox / "shop.csv").write_text("id,title\n1,a\n2,b\n")
    run = await ingest(**CSV)
    url = f"{SOURCES}/shop" + (f"?records={records}" if records else "")
    assert (await scientist.delete(url)).status_code == 204
    assert (await scientist.get(f"{SOURCES}/shop")).status_code == 404
    assert (await scientist.get("/data?source=shop")).json()["total_count"] == left
    assert (await scientist.get(f"/api/v1/etl/runs/{run['run_id']}")).status_code == 200
    async with database.reading() as session:
        assert (await session.scalars(select(Checkpoint))).all() == []


async def test_a_deletion_in_pieces_that_is_stopped_goes_on(
    scientist: httpx2.AsyncClient,
    database: Database,
    inbox: Path,
    ingest: Ingest,
    run_jobs: RunJobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(ending: str) -> None:
        (inbox / "shop.csv").write_text(
            "id,title\n" + "".join(f"{at},Item {at} {ending}\n" for at in range(9)) + "bent\n"
        )

    async def left() -> int:
        total: int = (await scientist.get("/data?source=shop")).json()["total_count"]
        return total

    write("a")
    await ingest(**CSV)
    write("b")
    await ingest("shop")
    url = f"{SOURCES}/shop?records=delete"
    monkeypatch.setattr(deleting, "PART", 4)
    pieces, whole = count(1), deleting.delete_records

    async def dying(*arguments: Any) -> bool:
        if next(pieces) == 2:
            raise Unavailable("The power is gone.")
        return await whole(*arguments)

    monkeypatch.setattr(deleting, "delete_records", dying)
    assert (await scientist.delete(url)).status_code == 503
    assert await left() == 5
    assert (await scientist.get(f"{SOURCES}/shop")).status_code == 200
    # Who wants it after all gets everything again.
    assert counts(await ingest("shop")) == (10, 4, 0, 1)
    assert await left() == 9
    assert (await scientist.delete(url)).status_code == 204
    await run_jobs()
    assert next(pieces) > 4
    assert await left() == 0
    assert (await scientist.get("/data?q=Item")).json()["data"] == []
    async with database.reading() as session:
        for table in (*deleting.BROUGHT, *deleting.WHERE_IT_STANDS):
            assert (await session.scalars(select(table))).all() == [], table
    assert (await scientist.delete(url)).status_code == 404


async def test_a_source_that_runs_is_not_deleted(
    scientist: httpx2.AsyncClient, inbox: Path
) -> None:
    await scientist.post(SOURCES, json=CSV)
    run = (await scientist.post(f"{SOURCES}/shop/run")).json()
    refused = await scientist.delete(f"{SOURCES}/shop")
    assert refused.status_code == 409
    assert run["run_id"] in refused.json()["detail"]
    await scientist.post(f"/api/v1/etl/runs/{run['run_id']}/cancel")
    assert (await scientist.delete(f"{SOURCES}/shop")).status_code == 204


async def test_a_source_is_ensured_once(database: Database) -> None:
    body = CsvSource(name="shop", kind="csv", path="shop.csv")
    first = await database.write(lambda s: service.ensure_source(s, SYSTEM, body))
    again = await database.write(lambda s: service.ensure_source(s, SYSTEM, body))
    assert (first.id, first.version) == (again.id, again.version)


async def test_20_in_production_only_listed_secrets_are_used(settings: Settings) -> None:
    strict = settings.model_copy(
        update={"environment": "production", "source_secrets": ("LISTED",)}
    )
    spec = source_spec.validate_python(API)
    with pytest.raises(Exception, match="SOURCE_SECRETS does not list 'REPOS_TOKEN'"):
        service.refuse_unsafe(strict, spec)
    listed = API | {"auth": {"type": "bearer", "secret": "env:LISTED"}}
    service.refuse_unsafe(strict, source_spec.validate_python(listed))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("PUT", "/shop"),
        ("PATCH", "/shop"),
        ("DELETE", "/shop"),
        ("POST", "/shop/run"),
    ],
)
async def test_only_those_who_may_change_sources(
    client: httpx2.AsyncClient, viewer: httpx2.AsyncClient, method: str, path: str
) -> None:
    body = None if method == "DELETE" else (CSV if not path else {})
    for caller, status in ((client, 401), (viewer, 403)):
        answer = await caller.request(method, f"{SOURCES}{path}", json=body)
        assert answer.status_code == status


async def test_only_those_who_may_see_sources(
    client: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    for path in ("", "/shop"):
        assert (await client.get(f"{SOURCES}{path}")).status_code == 401
    assert (await viewer.get(SOURCES)).status_code == 200
