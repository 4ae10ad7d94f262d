"""Lines 20 to 26: what comes in from outside, and what goes out when it is wrong."""

import ast
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy import event

import astralytiq
import ml_core
from astralytiq.app import create_app
from astralytiq.core.logging import JsonFormatter
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion.schemas import source_spec
from tests.conftest import SignIn
from tests.factories import make_client, signed_in

from .factories import ALICE, AUTH, KEYS, LOGIN, ME, PAGE, USERS, log_in, register
from .routes import operations

pytestmark = pytest.mark.anyio

UPLOAD = "/api/v1/datasets/upload"


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """Our own code, as it is written."""
    for package in (astralytiq, ml_core):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            yield path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def called(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func
            if isinstance(name, ast.Attribute):
                yield f".{name.attr}", node
            elif isinstance(name, ast.Name):
                yield name.id, node


# Line 20 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_20_no_env_reference_reaches_a_setting_of_ours(field: str) -> None:
    """A source could otherwise send our own secrets to whom it likes."""
    body = {"name": "repos", "kind": "api", "url": "https://api.example.com/items"}
    prefixed = f"ASTRALYTIQ_{field}"
    bare = () if field in ("home", "host", "port", "workers") else (field,)
    for name in (prefixed, *bare):
        for spelling in (name.upper(), name.lower()):
            auth = {"type": "bearer", "secret": f"env:{spelling}"}
            with pytest.raises(ValidationError, match="secret"):
                source_spec.validate_python({**body, "auth": auth})
    fine = {"type": "bearer", "secret": "env:REPOS_TOKEN"}
    source_spec.validate_python({**body, "auth": fine})


# Line 21 ----------------------------------------------------------------------------------------


async def test_21_a_name_with_a_nul_and_a_way_out_is_no_path(
    sign_in: SignIn, resources: Resources
) -> None:
    analyst = await sign_in(Role.analyst)
    outside = set(resources.settings.home.parent.rglob("*evil*"))
    for name in (
        b"a\x00/../../evil.csv",
        b"..\\..\\evil.csv",
        b"/tmp/evil.csv",
        b"%2e%2e/evil.csv",
    ):
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n'
            b"Content-Type: text/csv\r\n\r\na,b\r\n1,2\r\n--b--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await analyst.post(UPLOAD, content=body, headers=headers)
        assert answer.status_code in (201, 400, 422), answer.text
    assert set(resources.settings.home.parent.rglob("*evil*")) == outside


def test_21_no_archive_is_ever_unpacked() -> None:
    """So none of its names becomes a path. Who adds a reader of archives adds its checks here."""
    unpacking = {".extract", ".extractall", ".unpack_archive", "unpack_archive"}
    found = [
        (path.name, name) for path, tree in sources() for name, _ in called(tree)
        if name in unpacking and (name.endswith("archive") or "zipfile" in imported(tree))
    ]  # fmt: skip
    assert found == []
    assert [path.name for path, tree in sources() if "tarfile" in imported(tree)] == []


# Line 22 ----------------------------------------------------------------------------------------


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update={"upload_limit_mb": 1}))
    async with app.router.lifespan_context(app):
        yield app


@pytest.mark.parametrize("declared", [True, False], ids=["with-length", "streamed"])
async def test_22_an_upload_over_the_limit_is_413_and_leaves_nothing(
    small: FastAPI, declared: bool
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\r\n'
    content = head + b"1,2\r\n" * 300_000 + b"\r\n--b--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    async with await signed_in(small, Role.analyst) as analyst:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        refused = await analyst.post(
            UPLOAD, content=content if declared else pieces(), headers=headers
        )
        assert (refused.status_code, "1 MB" in refused.json()["detail"]) == (413, True)
        assert (await analyst.get("/api/v1/datasets")).json() == []


async def test_22_a_packed_body_is_not_unpacked(sign_in: SignIn) -> None:
    """A few bytes that would become gigabytes stay a few bytes, which are no JSON."""
    analyst = await sign_in(Role.analyst)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = bytes.fromhex("1f8b0800000000000003ab5604") + b"\0" * 8
    answer = await analyst.post("/api/v1/tasks", content=packed, headers=headers)
    assert answer.status_code in (415, 422)


# Line 23 ----------------------------------------------------------------------------------------

RUNS_WHAT_IT_READS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Of PyYAML only what makes plain values: nodes, events, and the safe loader.
UNSAFE_YAML = {
    "load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all",
    "Loader", "CLoader", "FullLoader", "CFullLoader", "UnsafeLoader", "CUnsafeLoader",
}  # fmt: skip


def attributes_of(tree: ast.AST, module: str) -> set[str]:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {one.attr for one in found if isinstance(one.value, ast.Name) and one.value.id == module}


def test_23_nothing_that_runs_what_it_reads_is_used() -> None:
    for path, tree in sources():
        assert not imported(tree) & RUNS_WHAT_IT_READS, path
        assert not attributes_of(tree, "yaml") & UNSAFE_YAML, path
        for name, call in called(tree):
            assert name not in ("eval", "exec", "__import__"), path
            allowed = [word.value for word in call.keywords if word.arg == "allow_pickle"]
            assert all(isinstance(one, ast.Constant) and one.value is False for one in allowed), (
                path
            )


# Line 25 ----------------------------------------------------------------------------------------

MARK = "zqx' OR 1=1; DROP TABLE users; --\""


async def test_25_nothing_that_is_asked_becomes_part_of_a_statement(
    sign_in: SignIn, resources: Resources
) -> None:
    """Every word of every query and path, as the database's driver gets it."""
    admin = await sign_in(Role.admin)
    statements: list[str] = []

    def note(*sent: Any) -> None:
        statements.append(str(sent[2]))

    engines = {resources.database.writer.sync_engine, resources.database.reader.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    asked = 0
    for door in operations():
        if not door.is_safe or door.is_open:
            continue
        for name in door.queries:
            answer = await door.call(admin, params={name: MARK})
            assert answer.status_code in (200, 404, 422), (door.key, name, answer.text)
            asked += 1
        if door.path.endswith("}"):
            things = {parameter: MARK.replace("/", "") for parameter, _ in door.parameters}
            answer = await door.call(admin, things)
            assert answer.status_code in (404, 422), door.key
    assert asked > 30
    assert len(statements) > 30
    told = ("zqx' or 1", "drop table", '--"')  # A lone word of a search may stand there, quoted.
    assert [one for one in statements if any(part in one.lower() for part in told)] == []
    assert (await admin.get(ME)).status_code == 200


async def test_25_what_is_sorted_by_comes_from_a_list(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    sorted_ = [door for door in operations() if "sort" in door.queries]
    assert sorted_
    for door in sorted_:
        for key in ("password_hash", "owner_id", "name;drop", "(select 1)", "-", "name,id", "NAME"):
            answer = await door.call(admin, params={"sort": key})
            assert answer.status_code == 422, (door.key, key)


# Line 26 ----------------------------------------------------------------------------------------

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "body",
    [
        {"password": [SECRET]},
        {"password": {"is": SECRET}},
        {"password": SECRET, "email": "nobody"},
        {"password": SECRET, "surplus": SECRET},
        {"password": SECRET * 9},
    ],
)
async def test_26_no_refusal_repeats_a_secret(
    client: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    for path, more in (("register", ALICE), ("login", {"email": "a@b.example"})):
        answer = await client.post(f"{AUTH}/{path}", json={**more, **body})
        assert answer.status_code in (401, 422)
        assert SECRET not in answer.text


async def test_26_no_secret_of_a_request_is_in_the_log(
    app: FastAPI, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await register(client)
    await log_in(client, password="not my password")
    page = await client.post(f"{AUTH}/login", json=LOGIN, headers=PAGE)
    tokens = page.json()
    token = await client.get(f"{AUTH}/csrf-token")
    proof = {**PAGE, "X-CSRF-Token": token.json()["csrf_token"]}
    key = await client.post(KEYS, json={"name": "k", "scopes": ["data:read"]}, headers=proof)
    again = await client.post(f"{AUTH}/refresh", headers=PAGE)
    async with make_client(app) as device:
        await device.get("/data", headers={"X-API-Key": key.json()["key"]})
        await device.get(f"/data?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
        await device.get(f"{USERS}/me?api_key={SECRET}")
    formatted = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    secrets = (ALICE["password"], "not my password", SECRET, tokens["access_token"],
               tokens["refresh_token"], again.json()["refresh_token"], key.json()["key"],
               proof["X-CSRF-Token"])  # fmt: skip
    assert '"path":"/data"' in formatted
    assert [secret for secret in secrets if secret in formatted] == []
