"""Taking one's own data along, and being forgotten."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, select
from typer.testing import CliRunner

from astralytiq.cli import app as command_line
from astralytiq.core import offers
from astralytiq.core.db import Base, Database, utc_now
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.features.accounts import personal, router
from astralytiq.features.accounts.models import ApiKey, RefreshToken, User
from astralytiq.features.alerts import watching
from astralytiq.features.predictions.models import Outcome, Prediction, Shadow
from astralytiq.features.tasks.models import Task
from tests.conftest import SignIn
from tests.factories import make_client
from tests.features.datasets.factories import store_records
from tests.features.projects.factories import PROJECTS, Person, enter, share, start
from tests.features.registry.factories import store_version
from tests.features.tasks.factories import TASKS, add, titles

pytestmark = pytest.mark.anyio

API = "/api/v1"
ME, EXPORT = f"{API}/users/me", f"{API}/users/me/export"
ALICE = {
    "email": "alice@example.com",
    "username": "alice",
    "full_name": "Alice Liddell",
    "password": "correct horse",
}
LOGIN = {"email": ALICE["email"], "password": ALICE["password"]}
HOME = "198.51.100.7"
NAMES = ("alice", "Alice", "Liddell", HOME)


@dataclass(frozen=True)
class Alice:
    """Somebody who has left a trace in every room."""

    person: Person
    refresh_token: str
    key: str
    task_id: int
    assigned_id: int
    project_id: int
    joined_id: int


@pytest.fixture
async def admin(sign_in: SignIn) -> Person:
    return await enter(sign_in, Role.admin)


@pytest.fixture
async def home(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Where Alice lives: her own address and device."""
    transport = httpx2.ASGITransport(app, client=(HOME, 5000))
    headers = {"User-Agent": "the tablet of Alice"}
    url = "http://astralytiq.test"
    async with httpx2.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
        yield client


@pytest.fixture
async def alice(home: httpx2.AsyncClient, admin: Person) -> Alice:
    made = await admin.client.post(f"{API}/users", json={**ALICE, "role": "data_scientist"})
    person = Person(made.json()["id"], home)
    await home.post(f"{API}/auth/login", json={**LOGIN, "password": "mistyped"})
    signed_in = (await home.post(f"{API}/auth/login", json=LOGIN)).json()
    home.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
    key = await home.post(f"{API}/api-keys", json={"name": "of alice", "scopes": ["data:read"]})
    await home.get("/data", headers={"X-API-Key": f"{key.json()['key']}, mistyped"})
    joined = await start(admin, "joined")
    await share(admin, joined, person)
    return Alice(
        person=person,
        refresh_token=signed_in["refresh_token"],
        key=key.json()["key"],
        task_id=await add(person, "water the meters"),
        assigned_id=await add(admin, "read the meters", assignee_id=person.id),
        project_id=await start(person, "meters"),
        joined_id=joined,
    )


@pytest.fixture
async def busy_alice(alice: Alice, resources: Resources) -> Alice:
    """With a source, a secret, a model of her data set, predictions, a waiting job, a repeat."""
    client = alice.person.client
    source = {"name": "meters", "kind": "api", "url": "https://meters.example/v1"}
    secret = {"type": "bearer", "secret": "env:METERS_TOKEN"}
    answer = await client.post(f"{API}/sources", json={**source, "auth": secret})
    assert answer.status_code == 201, answer.text
    kept = await client.put(f"{API}/secrets/METERS", json={"value": "told to nobody"})
    assert kept.status_code in (200, 201), kept.text
    drawn = await client.post(f"{API}/dashboards", json={"name": "shop"})
    assert drawn.status_code == 201, drawn.text
    rule = {"name": "quiet", "metric": "datasets", "operator": ">=", "threshold": 0}
    hook = {"name": "pager", "kind": "webhook", "url": "https://pager.example/hook"}
    for path, asked in (("rules", rule), ("channels", hook)):
        answer = await client.post(f"{API}/alerts/{path}", json=asked)
        assert answer.status_code == 201, answer.text
    await watching.look(resources)
    (alert,) = (await client.get(f"{API}/alerts")).json()
    seen = await client.post(f"{API}/alerts/{alert['id']}/acknowledge", json={})
    assert seen.status_code == 200, seen.text
    version = await store_version(resources, client)
    prediction = Prediction(
        model_version_id=version.id, model="flowers", version=1, inputs={"data": [[1.0, 0]]},
        outputs={"predictions": ["setosa"]}, rows=1, latency_ms=1.0, actor_id=alice.person.id,
    )  # fmt: skip
    async with resources.database.transaction() as session:
        session.add(prediction)
        await session.flush()
        told = {"predicted": "setosa", "outcome": "setosa", "observed_at": utc_now()}
        session.add(Outcome(prediction_id=prediction.id, row=0, actor_id=alice.person.id, **told))
        shadow = Shadow(model_id=version.model_id, model_version_id=version.id, share=1.0)
        shadow.actor_id = alice.person.id
        session.add(shadow)
    await store_records(resources)
    body = {"name": "frozen", "from_records": {"source": "flowers"}}
    for _ in range(2):
        repeated = {"Idempotency-Key": "alice-1"}
        answer = await client.post(f"{API}/datasets", json=body, headers=repeated)
        assert answer.status_code == 201, answer.text
    return alice


async def exported(client: httpx2.AsyncClient) -> dict[str, Any]:
    """The files of an export, by name without their ending."""
    answer = await client.get(EXPORT)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    readme = files.pop("README.txt")
    found = {name.removesuffix(".json"): json.loads(text) for name, text in files.items()}
    assert all(file["name"] in readme for file in found["manifest"]["files"])
    return found


async def stored_text(database: Database) -> str:
    """All that any table holds."""
    async with database.reading() as session:
        rows = [
            f"{table.name}: {tuple(row)}"
            for table in Base.metadata.sorted_tables
            for row in await session.execute(select(table))
        ]
    return "\n".join(rows)


def naming(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(name in line for name in NAMES)]


# Export -----------------------------------------------------------------------------------------


async def test_an_export_holds_all_that_is_held_on_whoever_asks(busy_alice: Alice) -> None:
    alice = busy_alice
    found = await exported(alice.person.client)
    manifest = found.pop("manifest")
    assert (manifest["format"], manifest["account"]) == (1, alice.person.id)
    assert {file["name"]: file["rows"] for file in manifest["files"]} == {
        f"{name}.json": len(rows) for name, rows in found.items()
    }
    assert all(found.values()), "every room holds something on Alice"
    assert found["account"][0]["full_name"] == ALICE["full_name"]
    assert found["sessions"][0]["address"] == HOME
    roles = {project["id"]: project["your_role"] for project in found["projects"]}
    assert roles == {alice.project_id: "owner", alice.joined_id: "viewer"}
    assert {task["id"] for task in found["tasks"]} == {alice.task_id, alice.assigned_id}
    (frozen,) = (job for job in found["jobs"] if job["name"] == "datasets.freeze")
    assert frozen["arguments"]["actor_name"] == ALICE["email"]
    assert {(entry["action"], entry["outcome"]) for entry in found["audit"]} >= {
        ("user.signed_in", "refused"), ("user.signed_in", "ok"), ("key.used", "refused"),
    }  # fmt: skip
    assert {entry["address"] for entry in found["audit"]} - {None} == {HOME}


async def test_an_export_tells_no_secret_and_nothing_of_others(
    alice: Alice, admin: Person, database: Database
) -> None:
    foreign = await add(admin, "only mine")
    found = await exported(alice.person.client)
    assert foreign not in {task["id"] for task in found["tasks"]}
    text = json.dumps(found)
    async with database.reading() as session:
        hashes = [
            hashed
            for column in (User.password_hash, ApiKey.secret_hash, RefreshToken.token_hash)
            for hashed in await session.scalars(select(column))
        ]
    mail = (await admin.client.get(ME)).json()["email"]
    assert len(hashes) == 5
    for secret in (*hashes, mail, alice.key, alice.refresh_token, "password_hash", "secret_hash"):
        assert secret not in text


async def test_an_export_is_a_file_for_nobodys_cache_and_goes_on_record(
    alice: Alice, admin: Person
) -> None:
    answer = await alice.person.client.get(EXPORT)
    headers = answer.headers
    assert headers["content-type"] == "application/zip"
    assert headers["content-disposition"].startswith("attachment; filename=")
    assert headers["cache-control"] == "no-store"
    assert int(headers["content-length"]) == len(answer.content)
    (entry,) = (await admin.client.get(f"{API}/audit?action=user.exported")).json()
    assert (entry["actor_id"], entry["resource"]) == (alice.person.id, f"user/{alice.person.id}")


def test_the_document_says_that_an_export_is_a_zip() -> None:
    app = FastAPI()
    app.include_router(router.personal)
    described = app.openapi()["paths"]["/users/me/export"]["get"]["responses"]["200"]
    assert list(described["content"]) == ["application/zip"]


async def test_many_rows_come_in_pieces(
    sign_in: SignIn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "CHUNK", 1000)
    viewer = await enter(sign_in, Role.viewer)
    task = {"status": "pending", "priority": "low", "tags": [], "owner_id": viewer.id, "version": 1}
    rows = [{"title": f"task {number}", **task} for number in range(2 * offers.AT_ONCE + 1)]
    async with database.transaction() as session:
        await session.execute(insert(Task), rows)
    found = await exported(viewer.client)
    assert [task["title"] for task in found["tasks"]] == [row["title"] for row in rows]


async def test_one_makes_one_export_at_a_time(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    pack = personal.pack

    async def slowly(*arguments: Any) -> int:
        began.set()
        await go_on.wait()
        return await pack(*arguments)

    monkeypatch.setattr(personal, "pack", slowly)
    viewer, other = await sign_in(Role.viewer), await sign_in(Role.viewer)
    first = asyncio.create_task(viewer.get(EXPORT))
    await began.wait()
    assert (await viewer.get(EXPORT)).status_code == 409
    go_on.set()
    assert (await other.get(EXPORT)).status_code == 200
    assert (await first).status_code == 200
    assert (await viewer.get(EXPORT)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_key_neither_takes_a_person_along_nor_erases_one(
    alice: Alice, app: FastAPI, method: str
) -> None:
    url = EXPORT if method == "GET" else ME
    async with make_client(app) as device:
        as_header = await device.request(method, url, headers={"X-API-Key": alice.key})
        as_cookie = await device.request(method, url, headers={"Cookie": f"auth_token={alice.key}"})
    assert as_header.status_code == 403
    assert as_cookie.status_code in (401, 403)
    assert (await alice.person.client.get(ME)).status_code == 200


# Erasure ----------------------------------------------------------------------------------------


async def test_who_erases_themselves_is_out_at_once(alice: Alice, app: FastAPI) -> None:
    erased = await alice.person.client.delete(ME)
    assert erased.status_code == 204
    taken = erased.headers.get_list("set-cookie")
    assert all("Max-Age=0" in cookie for cookie in taken)
    assert {cookie.split("=")[0] for cookie in taken} >= {"auth_token", "refresh_token"}
    async with make_client(app) as anybody:
        body = {"refresh_token": alice.refresh_token}
        refusals = [
            await alice.person.client.get(ME),
            await anybody.get("/data", headers={"X-API-Key": alice.key}),
            await anybody.post(f"{API}/auth/refresh", json=body),
            await anybody.post(f"{API}/auth/login", json=LOGIN),
        ]
    assert [refusal.status_code for refusal in refusals] == [401] * 4


@pytest.mark.parametrize("by_admin", [True, False])
async def test_no_table_names_an_erased_person(
    busy_alice: Alice, admin: Person, database: Database, by_admin: bool
) -> None:
    alice = busy_alice
    renamed = {"email": "alice.liddell@example.com"}  # The job that waits has the old address.
    assert (await alice.person.client.patch(ME, json=renamed)).status_code == 200
    await exported(alice.person.client)
    tables = {line.split(":")[0] for line in naming(await stored_text(database))}
    assert tables >= {"users", "user_sessions", "api_keys", "jobs", "idempotency_keys",
                      "audit_actors", "audit_entries"}  # fmt: skip

    who, url = (admin, f"{API}/users/{alice.person.id}") if by_admin else (alice.person, ME)
    assert (await who.client.delete(url)).status_code == 204
    assert naming(await stored_text(database)) == []
    assert (await admin.client.get(f"{API}/audit/verify")).json()["first_fault"] is None


async def test_what_an_erased_person_made_stays_and_what_they_were_asked_to_do_is_free(
    alice: Alice, admin: Person
) -> None:
    url = f"{PROJECTS}/{alice.joined_id}"
    before = await admin.client.get(url)
    assert (await alice.person.client.delete(ME)).status_code == 204

    made = await admin.client.get(f"{PROJECTS}/{alice.project_id}")
    assert (made.json()["name"], made.json()["owner_id"]) == ("meters", alice.person.id)
    after = await admin.client.get(url)
    assert ([one["user_id"] for one in before.json()["members"]], after.json()["members"]) == (
        [alice.person.id],
        [],
    )
    assert before.headers["etag"] != after.headers["etag"]
    free = await admin.client.get(f"{TASKS}/{alice.assigned_id}")
    assert free.json()["assignee_id"] is None
    assert await titles(admin, assignee=alice.person.id, q="read") == []
    assert await titles(admin, q="water") == ["water the meters"]


async def test_a_name_that_is_free_again_brings_nothing_of_its_last_bearer(
    alice: Alice, client: httpx2.AsyncClient
) -> None:
    assert (await alice.person.client.delete(ME)).status_code == 204
    registered = await client.post(f"{API}/auth/register", json=ALICE)
    assert (registered.status_code, registered.json()["role"]) == (200, "analyst")
    assert registered.json()["id"] != alice.person.id
    token = (await client.post(f"{API}/auth/login", json=LOGIN)).json()["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    found = await exported(client)
    held = {name: len(rows) for name, rows in found.items() if rows and name != "manifest"}
    assert held == {"account": 1, "sessions": 1, "audit": 2}
    assert (await client.get(f"{TASKS}/{alice.task_id}")).status_code == 404


async def test_the_last_admin_stays_also_when_two_go_at_the_same_moment(
    sign_in: SignIn, admin: Person
) -> None:
    refused = await admin.client.delete(ME)
    assert refused.status_code == 409
    assert "make another account an admin first" in refused.json()["detail"]
    other = await enter(sign_in, Role.admin)
    answers = await asyncio.gather(*(one.client.delete(ME) for one in (admin, other)))
    assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_nobody_can_keep_a_pseudonym_from_being_free(alice: Alice, sign_in: SignIn) -> None:
    other = await sign_in(Role.viewer)
    pseudonym = f"erased:{alice.person.id}"
    for field in ("username", "email"):
        assert (await other.patch(ME, json={field: pseudonym})).status_code == 422


async def test_an_erased_account_is_not_opened_again_and_has_no_password(
    alice: Alice, admin: Person, client: httpx2.AsyncClient
) -> None:
    assert (await alice.person.client.delete(ME)).status_code == 204
    url = f"{API}/users/{alice.person.id}"
    assert (await admin.client.patch(url, json={"is_active": True})).status_code == 409
    # What an account without a hash is compared with.
    body = {"username": f"erased:{alice.person.id}", "password": "nobody has this password"}
    assert (await client.post(f"{API}/auth/login", json=body)).status_code == 401


# On the command line ----------------------------------------------------------------------------


def test_one_takes_ones_data_along_by_command_and_the_last_admin_stays(tmp_path: Path) -> None:
    commands = CliRunner()
    at_home = ("--home", str(tmp_path / "home"))
    file = tmp_path / "me.zip"
    done = commands.invoke(command_line, [*at_home, "user", "export", "--output", str(file)])
    assert done.exit_code == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        (account,) = json.loads(archive.read("account.json"))
    assert account["role"] == "admin"
    refused = commands.invoke(command_line, [*at_home, "user", "erase-me", "--yes"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "last admin" in refused.stderr
