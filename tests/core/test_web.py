"""What every door does: problems, paging, versions, idempotency, strict bodies, headers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import httpx2
import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.app import create_app
from astralytiq.core import audit
from astralytiq.core.audit import AuditEntry
from astralytiq.core.errors import NotFound, Unavailable
from astralytiq.core.schedules import Schedule, put
from astralytiq.core.schemas import Answer, Body
from astralytiq.core.security import SYSTEM, Actor, Role
from astralytiq.core.settings import Settings
from astralytiq.core.web import (
    PageAsked,
    Session,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)
from astralytiq.features.accounts.models import User
from tests.conftest import SignIn
from tests.patience import soon

pytestmark = pytest.mark.anyio

router = room("/things", "tests")
Anybody = Annotated[Actor, needs()]
OURS = Schedule.job_name == "tests.nothing"  # Rooms have schedules of their own from the start.


class Thing(Body):
    name: str
    size: float = 0


class Named(Answer):
    id: int
    name: str


@router.post("", status_code=201, response_model=Named)
async def create(session: Session, actor: Anybody, body: Thing, response: Response) -> Schedule:
    response.headers["Location"] = f"/things/{body.name}"
    made = await put(session, f"{body.name} {body.size}", "every 1h", "tests.nothing")
    await session.flush()
    return made


@router.get("", response_model=list[Named])
async def list_things(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Anybody
) -> Sequence[Schedule]:
    total = await session.scalar(select(func.count(Schedule.id)).where(OURS)) or 0
    describe_page(request, response, page, total)
    query = select(Schedule).where(OURS).order_by(Schedule.id).limit(page.limit).offset(page.offset)
    return (await session.scalars(query)).all()


@router.get("/me")
async def read(session: Session, actor: Anybody, response: Response) -> dict[str, str | None]:
    user = await session.get_one(User, actor.account_id)
    mark(response, user)
    return {"department": user.department}


@router.put("/me")
async def change(
    request: Request, session: Session, actor: Anybody, body: Thing
) -> dict[str, str | None]:
    user = await session.get_one(User, actor.account_id)
    refuse_stale(request, user)
    user.department = body.name
    return {"department": user.department}


@router.post("/refused")
async def refuse(session: Session, actor: Anybody, kept: bool) -> None:
    audit.record(session, actor, "tried", "r", outcome="refused")
    raise NotFound("There is no such thing.", keep=kept)


@router.post("/broken")
async def break_down(session: Session, actor: Anybody) -> None:
    raise RuntimeError("select * from secrets in /home/me")


@router.get("/away")
async def be_away(actor: Anybody) -> None:
    raise Unavailable("The store is away.", retry_after=7)


@router.get("/gated")
async def gate(actor: Annotated[Actor, needs("users:write")]) -> None:
    return None


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update={"body_limit_mb": 1}))
    app.include_router(router)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def member(sign_in: SignIn) -> httpx2.AsyncClient:
    return await sign_in(Role.analyst)


async def count(client: httpx2.AsyncClient) -> int:
    return int((await client.get("/things")).headers["x-total-count"])


async def test_pages_link_to_their_neighbours(member: httpx2.AsyncClient) -> None:
    for number in range(5):
        await member.post("/things", json={"name": f"n{number}"})
    page = await member.get("/things?limit=2&skip=2&colour=red")
    assert page.headers["x-total-count"] == "5"
    assert [thing["name"] for thing in page.json()] == ["n2 0", "n3 0"]
    parts = [part.split("; ") for part in page.headers["link"].split(", ")]
    links = {relation: target for target, relation in parts}
    assert links['rel="next"'] == "</things?colour=red&limit=2&offset=4>"
    assert links['rel="prev"'] == "</things?colour=red&limit=2&offset=0>"
    assert links['rel="last"'] == "</things?colour=red&limit=2&offset=4>"
    assert 'rel="next"' not in (await member.get("/things?offset=4")).headers["link"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x"])
async def test_a_page_outside_its_bounds_is_refused(member: httpx2.AsyncClient, query: str) -> None:
    refused = await member.get(f"/things?{query}")
    assert refused.status_code == 422
    problem = refused.json()
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["errors"][0]["loc"][0] == "query"


async def test_a_repeated_request_is_answered_and_not_done_again(
    member: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    key = {"Idempotency-Key": "order-1"}
    answers = [await member.post("/things", json={"name": "once"}, headers=key) for _ in range(3)]
    assert {(a.status_code, a.content, a.headers["location"]) for a in answers} == {
        (201, answers[0].content, "/things/once")
    }
    assert await count(member) == 1
    other_body = await member.post("/things", json={"name": "twice"}, headers=key)
    assert other_body.status_code == 422
    somebody_else = await sign_in(Role.analyst)
    assert (await somebody_else.post("/things", json={"name": "theirs"}, headers=key)).is_success
    assert await count(member) == 2


async def test_the_same_key_at_the_same_moment_is_done_once(member: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "race"}
    answers = await asyncio.gather(
        *(member.post("/things", json={"name": "race"}, headers=key) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(member) == 1


async def test_a_refused_request_keeps_no_key(member: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "again"}
    assert (await member.post("/things", json={}, headers=key)).status_code == 422
    assert (await member.post("/things", json={"name": "ok"}, headers=key)).status_code == 201


async def test_versions_guard_changes_and_spare_reads(member: httpx2.AsyncClient) -> None:
    first = await member.get("/things/me")
    tag = first.headers["etag"]
    known = await member.get("/things/me", headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    match = {"If-Match": tag}
    assert (await member.put("/things/me", json={"name": "a"}, headers=match)).is_success
    stale = await member.put("/things/me", json={"name": "b"}, headers=match)
    assert stale.status_code == 412
    again = await member.get("/things/me", headers={"If-None-Match": tag})
    assert (again.status_code, again.json()) == (200, {"department": "a"})


async def test_a_refusal_that_leaves_a_trace_keeps_no_key(
    member: httpx2.AsyncClient,
) -> None:
    key = {"Idempotency-Key": "traced"}
    answers = [await member.post("/things/refused?kept=true", headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_refusal_commits_only_the_trace_it_must_leave(
    member: httpx2.AsyncClient, database: object, app: FastAPI, kept: bool
) -> None:
    refused = await member.post(f"/things/refused?kept={kept}")
    assert (refused.status_code, refused.json()["detail"]) == (404, "There is no such thing.")
    async with app.state.resources.database.reading() as session:
        query = select(func.count(AuditEntry.id)).where(AuditEntry.action == "tried")
        assert await session.scalar(query) == int(kept)


async def test_26_nothing_of_the_inside_leaves_with_an_unforeseen_error(
    member: httpx2.AsyncClient,
) -> None:
    broken = await member.post("/things/broken", headers={"X-Request-ID": "mine-1"})
    assert broken.status_code == 500
    assert broken.headers["x-request-id"] == broken.json()["request_id"] == "mine-1"
    assert "secrets" not in broken.text
    assert "Traceback" not in broken.text


async def test_what_is_away_says_when_to_come_again(member: httpx2.AsyncClient) -> None:
    away = await member.get("/things/away")
    assert (away.status_code, away.headers["retry-after"]) == (503, "7")


async def test_a_missing_permission_is_named(
    member: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    refused = await member.get("/things/gated")
    assert refused.status_code == 403
    assert "users:write" in refused.json()["detail"]
    nobody = await client.get("/things/gated")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b'{"name": "x", "size": NaN}', "application/json", 422),
        (b'{"name": "x", "colour": "red"}', "application/json", 422),
        (b'{"name": "x"', "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b'{"name": "\xff"}', "application/json", 422),
        (b'{"name": "x"}', "text/plain", 415),
        (b'{"name": "x"}', "", 415),
        (b'{"name": "nul \\u0000"}', "application/json", 422),
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (b'{"name": "' + b"x" * (1 << 20) + b'"}', "application/json", 413),
    ],
)
async def test_22_bodies_that_are_not_what_they_should_be(
    member: httpx2.AsyncClient, content: bytes, media: str, status: int
) -> None:
    headers = {"Content-Type": media} if media else {}
    refused = await member.post("/things", content=content, headers=headers)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["instance"] == "/things"
    assert await count(member) == 0


async def test_22_a_body_without_a_length_is_counted_while_it_streams(
    member: httpx2.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    refused = await member.post(
        "/things", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert refused.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/jobs/%00", None),
        ("GET", "/api/v1/jobs/a%00b?x=1", None),
        ("GET", "/data?source=%00", None),
        ("GET", "/api/v1/jobs/99999999999999999999999", None),
        ("GET", "/data/99999999999999999999999", None),
        ("POST", "/things", {"name": "nul \x00 inside"}),
        ("POST", "/things", {"name": "a backslash before \\u0000 is no nul"}),
    ],
)
async def test_values_that_no_database_takes_are_the_callers_fault(
    member: httpx2.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    answer = await member.request(method, path, json=body) if body else await member.get(path)
    assert answer.status_code in (200, 201, 404, 422), answer.text


async def test_an_upload_of_nobody_is_refused_before_it_is_read(
    client: httpx2.AsyncClient,
) -> None:
    read = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 65_536

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = await client.post("/api/v1/datasets/upload", content=upload(), headers=headers)
    assert refused.status_code == 401
    assert read < 2


async def test_28_every_answer_is_timed_named_and_guarded(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/nowhere", headers={"X-Request-ID": "bad id\twith spaces"})
    assert answer.status_code == 404
    assert len(answer.headers["x-request-id"]) == 32
    assert float(answer.headers["x-process-time"]) >= 0
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_collections_answer_with_and_without_the_slash(member: httpx2.AsyncClient) -> None:
    made = await member.post("/things/", json={"name": "x"})
    assert made.status_code == 201
    assert (await member.get("/things/")).json() == (await member.get("/things")).json()


async def test_a_cancelled_request_leaves_a_database_that_writes(
    app: FastAPI, member: httpx2.AsyncClient
) -> None:
    async def post(number: int) -> None:
        await member.post("/things", json={"name": f"c{number}"})

    for number in range(60):
        task = asyncio.create_task(post(number))
        await asyncio.sleep(0.0005 * (number % 7))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    done = await soon(member.post("/things", json={"name": "last"}))
    assert done.status_code == 201


async def test_a_clash_that_no_service_foresaw_is_a_conflict(
    app: FastAPI, member: httpx2.AsyncClient
) -> None:
    clash = room("/clash", "tests")

    @clash.post("")
    async def insert(session: Session) -> None:
        await add_user(session)
        await add_user(session)

    async def add_user(session: AsyncSession) -> None:
        session.add(
            User(email="a@b.c", username="same", role=Role.viewer, password_hash=SYSTEM.name)
        )
        await session.flush()

    app.include_router(clash)
    assert (await member.post("/clash")).status_code == 409
