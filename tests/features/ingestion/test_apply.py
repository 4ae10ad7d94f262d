"""A file of sources: what it would change, and the change, as a whole or not at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from typer.testing import CliRunner, Result

from astralytiq.client import Client
from astralytiq.core.audit import AuditEntry
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.ingestion import source_file
from astralytiq.features.ingestion.cli import source as commands
from astralytiq.features.ingestion.source_file import Unreadable
from astralytiq.terminal import Connection
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

SOURCES = "/api/v1/sources"
SHOP: dict[str, Any] = {"name": "shop", "kind": "csv", "path": "shop.csv", "primary_key": "id"}
POSTS: dict[str, Any] = {
    "name": "posts",
    "kind": "api",
    "url": "https://api.example.com/posts",
    "auth": {"type": "bearer", "secret": "env:POSTS_TOKEN"},
}

Apply = Callable[..., Awaitable[Result]]


async def put(caller: httpx2.AsyncClient, *sources: dict[str, Any], **params: Any) -> Any:
    return await caller.put(SOURCES, json={"sources": list(sources)}, params=params)


def actions(answer: httpx2.Response) -> dict[str, str]:
    return {one["name"]: one["action"] for one in answer.json()["sources"]}


async def names(caller: httpx2.AsyncClient) -> list[str]:
    return [one["name"] for one in (await caller.get(SOURCES)).json()]


# By the door ------------------------------------------------------------------------------------


async def test_a_plan_comes_first_and_changes_nothing(scientist: httpx2.AsyncClient) -> None:
    planned = await put(scientist, SHOP, POSTS, dry_run=True)
    assert actions(planned) == {"shop": "create", "posts": "create"}
    assert planned.json()["applied"] is False
    assert await names(scientist) == []
    done = await put(scientist, SHOP, POSTS)
    assert (actions(done), done.json()["applied"]) == (actions(planned), True)
    assert await names(scientist) == ["posts", "shop"]


async def test_a_plan_says_what_changes_what_stays_and_what_is_left_alone(
    scientist: httpx2.AsyncClient, resources: Resources
) -> None:
    await put(scientist, SHOP, POSTS, SHOP | {"name": "old"})
    tag = (await scientist.get(f"{SOURCES}/shop")).headers["etag"]
    changed = POSTS | {"schedule": "every 1h", "auth": None}
    done = await put(scientist, SHOP, changed)
    assert actions(done) == {"shop": "unchanged", "posts": "change", "old": "left"}
    fields = {
        one["field"]: (one["before"], one["after"]) for one in done.json()["sources"][1]["fields"]
    }
    assert fields.keys() == {"schedule", "auth"}
    assert fields["schedule"] == (None, "every 1h")
    found = (await scientist.get(f"{SOURCES}/posts")).json()
    assert (found["auth"], found["next_run_at"] is None) == (None, False)
    assert (await scientist.get(f"{SOURCES}/shop")).headers["etag"] == tag
    async with resources.database.reading() as session:
        query = select(AuditEntry).filter_by(resource="source/posts").order_by(AuditEntry.id)
        created, altered = (await session.scalars(query)).all()
    assert (created.action, altered.details) == ("source.created", {"fields": ["auth", "schedule"]})


async def test_pruning_deletes_ones_own_sources_that_the_list_lacks(
    scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    other = await sign_in(Role.data_scientist)
    await put(other, SHOP | {"name": "theirs"})
    await put(scientist, SHOP, POSTS)
    done = await put(scientist, SHOP, prune=True)
    assert actions(done) == {"shop": "unchanged", "posts": "delete", "theirs": "left"}
    assert await names(scientist) == ["shop", "theirs"]
    assert (await put(scientist, prune=True)).status_code == 422  # An empty list deletes nothing.


async def test_what_was_shown_is_applied_or_nothing_is(scientist: httpx2.AsyncClient) -> None:
    plan = await put(scientist, SHOP, POSTS, dry_run=True)
    await scientist.post(SOURCES, json=SHOP | {"batch_size": 1})
    seen = {"If-Match": plan.headers["etag"]}
    body = {"sources": [SHOP, POSTS]}
    assert (await scientist.put(SOURCES, json=body, headers=seen)).status_code == 412
    assert await names(scientist) == ["shop"]


async def test_all_faults_come_at_once_with_their_places(scientist: httpx2.AsyncClient) -> None:
    await scientist.post(SOURCES, json=SHOP)
    refused = await put(scientist, SHOP | {"paht": 1}, POSTS | {"url": "x"}, {"kind": "tape"})
    places = [fault["loc"][:3] for fault in refused.json()["errors"]]
    assert {tuple(place) for place in places} == {("body", "sources", at) for at in (0, 1, 2)}
    refused = await put(
        scientist,
        POSTS,
        POSTS,
        SHOP | {"name": "a", "path": "/etc/passwd"},
        POSTS | {"name": "shop"},
    )
    faults = {tuple(fault["loc"][2:]): fault["msg"] for fault in refused.json()["errors"]}
    assert faults.keys() == {(1, "name"), (2, "path"), (3, "kind")}
    assert await names(scientist) == ["shop"]


async def test_one_refusal_leaves_all_as_it_was(
    scientist: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    other = await sign_in(Role.data_scientist)
    await put(other, SHOP)
    assert actions(await put(scientist, SHOP, dry_run=True)) == {"shop": "unchanged"}
    refused = await put(scientist, POSTS, SHOP | {"batch_size": 1})
    assert refused.status_code == 403
    assert "shop" in refused.json()["detail"]
    assert await names(scientist) == ["shop"]
    await scientist.post(SOURCES, json=POSTS)
    await scientist.post(f"{SOURCES}/posts/run")
    running = await put(scientist, SHOP | {"name": "new"}, prune=True)
    assert running.status_code == 409
    assert await names(scientist) == ["posts", "shop"]


async def test_only_those_who_may_change_sources_apply_a_list(
    client: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    for caller, status in ((client, 401), (viewer, 403)):
        for dry_run in (True, False):
            assert (await put(caller, SHOP, dry_run=dry_run)).status_code == status


# By command -------------------------------------------------------------------------------------


class ToApp(httpx2.BaseTransport):
    """A command's requests, from its thread into the loop of the application."""

    def __init__(self, app: FastAPI) -> None:
        self.inner = httpx2.ASGITransport(app, client=("203.0.113.9", 5000))
        self.loop = asyncio.get_running_loop()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return asyncio.run_coroutine_threadsafe(self.answer(request), self.loop).result()

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        copy = httpx2.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        response = await self.inner.handle_async_request(copy)
        return httpx2.Response(response.status_code, content=await response.aread())


@pytest.fixture
def command(app: FastAPI, scientist: httpx2.AsyncClient, tmp_path: Path) -> Apply:
    """Runs `astralytiq source …`; the text, if any, is its file."""
    token = scientist.headers["authorization"].removeprefix("Bearer ")

    async def run(*arguments: str, text: str = "") -> Result:
        transport = ToApp(app)
        connection = Connection(
            lambda: Client("http://astralytiq.test", token, transport=transport)
        )
        file = tmp_path / "sources.yaml"
        file.write_text(text)
        given = [*arguments, *(["-f", str(file)] if text else [])]
        runner = CliRunner()
        return await asyncio.to_thread(lambda: runner.invoke(commands, given, obj=connection))

    return run


GOOD = """
sources:
  - name: shop
    kind: csv
    path: shop.csv
    primary_key: id
    schedule: '*/5 * * * *'
"""


async def test_a_command_shows_the_plan_and_writes_only_after_a_yes(
    command: Apply, scientist: httpx2.AsyncClient
) -> None:
    shown = await command("apply", text=GOOD)
    assert (shown.exit_code, shown.stdout) == (0, "create     shop\n")
    assert "--yes" in shown.stderr
    assert await names(scientist) == []
    assert (await command("apply", "--yes", text=GOOD)).exit_code == 0
    assert await names(scientist) == ["shop"]
    again = await command("apply", "--yes", "--json", text=GOOD.replace("5 *", "6 *"))
    (only,) = json.loads(again.stdout)["sources"]
    assert only["fields"] == [
        {"field": "schedule", "before": "*/5 * * * *", "after": "*/6 * * * *"}
    ]


async def test_a_command_enables_and_disables(
    command: Apply, scientist: httpx2.AsyncClient
) -> None:
    await scientist.post(SOURCES, json=SHOP)
    assert (await command("disable", "shop")).exit_code == 0
    assert (await scientist.post(f"{SOURCES}/shop/run")).status_code == 409
    assert (await command("enable", "shop")).exit_code == 0
    assert (await scientist.get(f"{SOURCES}/shop")).json()["enabled"] is True
    assert (await command("enable", "nothing")).exit_code == 2


async def test_a_command_previews_a_source_and_one_of_a_file(
    command: Apply, scientist: httpx2.AsyncClient, settings: Settings
) -> None:
    (settings.home / "inbox" / "shop.csv").write_text("id,title\n1,a\n,b\n")
    from_file = await command("preview", "shop", text=GOOD)
    assert "reject  primary key" in from_file.stdout
    await scientist.post(SOURCES, json=SHOP)
    kept = await command("preview", "shop", "--limit", "1", "--json")
    assert len(json.loads(kept.stdout)["records"]) == 1
    assert (await command("preview", "other", text=GOOD)).exit_code == 2
    wrong = await command("preview", "shop", text=GOOD.replace("path", "paht"))
    assert "sources.yaml:5: sources.0.paht: " in wrong.stderr


async def test_a_command_names_the_line_of_every_fault(
    command: Apply, scientist: httpx2.AsyncClient
) -> None:
    text = (
        GOOD.replace("*/5", "*/x")
        + "  - kind: api\n    name: p\n    auth: {type: bearer, secret: s3}\n"
    )
    refused = await command("apply", "--yes", text=text)
    assert refused.exit_code == 2
    found = [line.rsplit("sources.yaml:")[1] for line in refused.stderr.splitlines()[:-1]]
    assert [line.split(": ")[0:2] for line in found] == [
        ["7", "sources.0.schedule"],
        ["8", "sources.1.url"],
        ["10", "sources.1.auth.secret"],
    ]
    assert "s3" not in refused.stderr
    assert await names(scientist) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("sources:\n\t- name: a\n", 2, "spaces, never with tabs"),
        ("sources:\n- name: a\n  name: b\n", 3, "'name' stands here twice"),
        ("sources:\n- schedule: */5 * * * *\n", 2, "into quotes"),
        ("a: &a [1]\nsources:\n- *a\n- *a\n", 3, "write out what *a stands for"),
        ("sources: !!python/object:os.system x\n", 1, "no plain value"),
        ("sources: [.inf]\n", 1, "no plain value"),
        ("sources: [1\n", 2, "expected"),
        ("sources: \x01\n", 1, "no YAML"),
        ("- name: a\n", 1, "begin with 'sources:'"),
        ("[" * 5000, 1, "nested too deeply"),
        ("# " + "x" * (1 << 20), 1, "more than 1 MB"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(text)
    with pytest.raises(Unreadable) as refused:
        source_file.read(file)
    (mistake, *_) = refused.value.mistakes
    assert (mistake.line, words in mistake.words) == (line, True), mistake


def test_plain_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text("{a: 1, b: 1.5, c: true, d: ~, e: 2026-01-31, f: 'yes', g: [x, {h: ''}]}")
    assert source_file.read(file).content == {
        "a": 1, "b": 1.5, "c": True, "d": None, "e": "2026-01-31", "f": "yes",
        "g": ["x", {"h": ""}],
    }  # fmt: skip


async def test_a_file_that_is_no_list_of_sources_is_refused(command: Apply) -> None:
    twice = await command("apply", text=GOOD + GOOD)
    assert (twice.exit_code, "sources.yaml:9: " in twice.stderr) == (2, True)
    refused = await command("apply", "-f", "nowhere.yaml")
    assert refused.exit_code == 2
    assert "nowhere.yaml cannot be read" in refused.stderr
