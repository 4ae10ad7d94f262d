"""Who gets through to MLflow at /mlflow, with what, and what is closed for all."""

import json
from dataclasses import dataclass, field

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from astralytiq.core.audit import AuditEntry
from astralytiq.core.errors import NotFound
from astralytiq.core.jobs import Job
from astralytiq.core.resources import Resources
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from astralytiq.features.accounts import sessions
from astralytiq.features.tracking import browsing, hosting
from tests.conftest import SignIn
from tests.factories import make_client, make_user
from tests.features.registry.factories import store_version

pytestmark = pytest.mark.anyio

API = "/mlflow/api/2.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
RUN = f"1/{'a' * 32}/artifacts"
SOURCE = f"mlflow-artifacts:/{RUN}/model"


@dataclass
class FakeMlflow:
    """Stands where MLflow's server would: it notes what reaches it."""

    seen: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    status: int = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.seen.append((scope["method"], scope["path"], body, dict(request.headers)))
        headers = {"x-frame-options": "SAMEORIGIN", "set-cookie": "a=b"}
        answer = JSONResponse({"sql": "SELECT 1"}, self.status, headers)
        await answer(scope, receive, send)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.seen]


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()

    async def app(_: hosting.Hosted) -> ASGIApp:
        return fake

    monkeypatch.setattr(hosting.Hosted, "app", app)
    return fake


@pytest.fixture
async def scientist(sign_in: SignIn, inside: FakeMlflow) -> httpx2.AsyncClient:
    return await sign_in(Role.data_scientist)


async def keyed(
    app: FastAPI, owner: httpx2.AsyncClient, *scopes: str
) -> tuple[httpx2.AsyncClient, int]:
    made = (await owner.post("/api/v1/api-keys", json={"name": "k", "scopes": scopes})).json()
    return make_client(app, made["key"]), made["id"]


async def entries(resources: Resources, action: str) -> list[AuditEntry]:
    async with resources.database.reading() as session:
        found = await session.scalars(select(AuditEntry).where(AuditEntry.action == action))
        return list(found)


# Who may ----------------------------------------------------------------------------------------


async def test_nobody_gets_in_without_a_sign_in(
    client: httpx2.AsyncClient, app: FastAPI, inside: FakeMlflow
) -> None:
    async with make_client(app, address="127.0.0.1") as here:
        here.base_url = "http://127.0.0.1"
        for visitor in (client, here, make_client(app, "ak_none_at_all")):
            for path in ("/mlflow/", "/mlflow/astralytiq.js", f"{API}/experiments/search"):
                assert (await visitor.get(path)).status_code == 401, path
            assert (await visitor.post(f"{API}/runs/create", json={})).status_code == 401
    assert inside.seen == []


async def test_a_viewer_reads_and_changes_nothing_and_the_denial_is_on_record(
    sign_in: SignIn, inside: FakeMlflow, resources: Resources
) -> None:
    viewer = await sign_in(Role.viewer)
    assert (await viewer.get(f"{API}/experiments/search?max_results=1")).status_code == 200
    assert (await viewer.post(f"{API}/runs/search", json={})).status_code == 200
    refused = await viewer.post(f"{API}/runs/create", json={"experiment_id": "0"})
    assert refused.status_code == 403
    assert (await viewer.put(f"{FILES}/{RUN}/a.txt", content=b"x")).status_code == 403
    assert inside.paths == ["/api/2.0/mlflow/experiments/search", "/api/2.0/mlflow/runs/search"]
    denied = {entry.resource for entry in await entries(resources, "access.denied")}
    assert "POST /mlflow/{api}/2.0/mlflow/runs/create" in denied
    assert "PUT /mlflow/{api}/2.0/mlflow-artifacts/artifacts/{+}" in denied


async def test_a_key_counts_until_it_is_revoked_and_for_its_scopes_alone(
    app: FastAPI, scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    program, key_id = await keyed(app, scientist, "models:read", "models:write")
    reader, _ = await keyed(app, scientist, "models:read")
    other, _ = await keyed(app, scientist, "runs:read")
    url, body = f"{API}/runs/create", {"experiment_id": "0"}
    assert (await program.post(url, json=body)).status_code == 200
    assert (await reader.post(url, json=body)).status_code == 403
    assert (await other.get(f"{API}/experiments/search")).status_code == 403
    await scientist.delete(f"/api/v1/api-keys/{key_id}")
    assert (await program.post(url, json=body)).status_code == 401
    assert len(inside.seen) == 1


async def test_only_an_admin_deletes_and_it_is_on_record(
    scientist: httpx2.AsyncClient, sign_in: SignIn, inside: FakeMlflow, resources: Resources
) -> None:
    body = {"run_id": "abc"}
    assert (await scientist.post(f"{API}/runs/delete", json=body)).status_code == 403
    assert (await scientist.delete(f"{FILES}/{RUN}/a.txt")).status_code == 403
    admin = await sign_in(Role.admin)
    assert (await admin.post(f"{API}/runs/delete", json=body)).status_code == 200
    assert inside.paths == ["/api/2.0/mlflow/runs/delete"]
    (entry,) = await entries(resources, "mlflow.deleted")
    assert entry.details["run_id"] == "abc"


async def test_a_browser_needs_our_token_to_change_anything(
    app: FastAPI, resources: Resources, inside: FakeMlflow, settings: Settings
) -> None:
    user = await make_user(resources, Role.data_scientist)
    access = await resources.database.write(
        lambda session: sessions.begin(session, settings, user, sessions.Origin("tests"))
    )
    browser = make_client(app)
    browser.cookies.set("auth_token", access.access_token)
    url = "/mlflow/ajax-api/2.0/mlflow/experiments/create"
    assert (await browser.post(url, json={"name": "x"})).status_code == 403
    token = (await browser.get("/api/v1/auth/csrf-token")).json()["csrf_token"]
    headers = {"X-CSRF-Token": token}
    foreign = {**headers, "Origin": "https://elsewhere.example"}
    assert (await browser.post(url, json={"name": "x"}, headers=foreign)).status_code == 403
    assert (await browser.post(url, json={"name": "x"}, headers=headers)).status_code == 200
    (seen,) = inside.seen
    assert not {"cookie", "authorization", "x-csrf-token", "x-api-key"} & seen[3].keys()


# What is closed ---------------------------------------------------------------------------------


CLOSED = (
    ("POST", "/api/2.0/mlflow/webhooks"),
    ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/api/3.0/mlflow/gateway/secrets/create"),
    ("POST", "/gateway/x/mlflow/invocations"),
    ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run"),
    ("POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
    ("POST", "/ajax-api/3.0/mlflow/demo/generate"),
    ("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/a"),
    ("POST", "/api/2.0/mlflow/model-versions/transition-stage"),
    ("DELETE", "/api/2.0/mlflow/registered-models/delete"),
    ("POST", "/api/2.0/mlflow/registered-models/rename"),
    ("GET", "/api/3.0/mlflow/workspaces"),
    ("POST", "/v1/traces"),
    ("GET", "/api/2.0/mlflow/experiments/../webhooks"),
    ("TRACE", "/version"),
)


async def test_the_rest_of_mlflow_is_not_there_even_for_an_admin(
    sign_in: SignIn, inside: FakeMlflow
) -> None:
    admin = await sign_in(Role.admin)
    for method, path in CLOSED:
        answer = await admin.request(method, f"/mlflow{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
    assert inside.seen == []


OURS_TO_CHOOSE = (
        ("experiments/create", {"name": "x", "artifact_location": "file:///etc"}),
        ("experiments/create", {"name": "x", "artifactLocation": "mlflow-artifacts:/1"}),
        ("experiments/create", {"name": "x", "tags": [{"key": "astralytiq.x", "value": "1"}]}),
        *(
            ("model-versions/create", {"name": "x", "source": source})
            for source in (
                "/etc", "file:///etc", "s3://bucket/x", "http:///#/../../etc", "", "dbfs:/x",
                "mlflow-artifacts:/1/../../x", "mlflow-artifacts://host/x", "runs:/a/%2e%2e/%2E./b",
                "models:/m-1#x", "mlflow-artifacts:/1/%252e%252e/x",
            )
        ),
        ("model-versions/create", {"name": "x", "source": SOURCE,
                                   "tags": [{"key": "astralytiq.version", "value": "1"}]}),
        ("runs/set-tag", {"run_id": "a", "key": "astralytiq.job_id", "value": "7"}),
        ("runs/log-batch", {"run_id": "a", "tags": [{"key": "astralytiq.job_id", "value": "7"}]}),
        ("registered-models/alias", {"name": "x", "alias": "production", "version": "1"}),
        ("registered-models/alias", {"name": "x", "alias": "newest", "version": "1"}),
)  # fmt: skip


async def test_a_place_or_a_name_that_is_ours_to_choose_is_refused(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    for path, body in OURS_TO_CHOOSE:
        answer = await scientist.post(f"{API}/{path}", json=body)
        assert answer.status_code == 403, (path, body)
    assert inside.seen == []


async def test_a_body_that_others_might_read_otherwise_is_refused(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    for content in (b"[1]", b"{", b'"{\\"name\\": \\"x\\"}"', b"\xff\xfe{\x00"):
        answer = await scientist.post(f"{API}/experiments/create", content=content)
        assert answer.status_code == 422, content
    assert inside.seen == []


async def test_of_a_name_given_twice_mlflow_gets_the_one_that_was_checked(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    twice = b'{"name": "x", "artifact_location": "file:///etc", "artifact_location": ""}'
    assert (await scientist.post(f"{API}/experiments/create", content=twice)).status_code == 200
    assert json.loads(inside.seen[0][2]) == {"name": "x", "artifact_location": ""}


ELSEWHERE = (
        "../../mlflow.db", "%2e%2e/%2e%2e/mlflow.db", "1/%252e%252e/x", "..%5c..%5cx", "a.txt",
        "1/x/y.txt", f"{RUN}/%00", f"{RUN}/%2e%2e/%2e%2e/b", f"{RUN}/",
)  # fmt: skip


async def test_a_file_cannot_be_put_elsewhere(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    for path in ELSEWHERE:
        answer = await scientist.put(f"{FILES}/{path}", content=b"x")
        assert answer.status_code in (403, 404, 422), path
    assert inside.seen == []


async def test_a_file_keeps_its_name_however_odd(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    for name, quoted in (
        ("images/k%step%0%timestamp%1718%u.png", "images/k%25step%250%25timestamp%251718%25u.png"),
        ("notes/a b+ü.txt", "notes/a%20b+%C3%BC.txt"),
    ):
        answer = await scientist.put(f"{FILES}/{RUN}/{quoted}", content=b"x")
        assert answer.status_code == 200, answer.text
        assert inside.paths[-1].endswith(f"/{RUN}/{name}")


async def test_a_file_cannot_be_read_from_elsewhere(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    for path in ("../x", "%252e%252e/x", "/etc/passwd"):
        for door in ("/mlflow/get-artifact", f"{API}/artifacts/list"):
            answer = await scientist.get(f"{door}?run_id=a&path={path}")
            assert answer.status_code == 422, path
    assert inside.seen == []


async def test_a_model_of_somebody_else_takes_no_version(
    scientist: httpx2.AsyncClient, sign_in: SignIn, inside: FakeMlflow, resources: Resources
) -> None:
    await store_version(resources, await sign_in(Role.data_scientist))
    for path, body in (
        ("model-versions/create", {"name": "flowers", "source": SOURCE}),
        ("registered-models/alias", {"name": "flowers", "alias": "mine", "version": "1"}),
        ("registered-models/set-tag", {"name": "flowers", "key": "a", "value": "b"}),
    ):
        answer = await scientist.post(f"{API}/{path}", json=body)
        assert answer.status_code == 403
    assert inside.seen == []
    odd = await scientist.post(f"{API}/registered-models/create", json={"name": "a/b"})
    assert odd.status_code == 422


async def test_files_are_bounded_as_uploads_and_all_else_as_bodies(
    scientist: httpx2.AsyncClient, inside: FakeMlflow, settings: Settings
) -> None:
    large = b"x" * (settings.body_limit_mb + 1 << 20)
    assert (await scientist.put(f"{FILES}/{RUN}/a.bin", content=large)).status_code == 200
    assert (await scientist.post(f"{API}/runs/log-batch", content=large)).status_code == 413
    declared = {"Content-Length": str(settings.upload_limit_mb + 1 << 20)}
    over = await scientist.put(f"{FILES}/{RUN}/a.bin", content=b"", headers=declared)
    assert over.status_code == 413
    assert len(inside.seen) == 1


# What comes back --------------------------------------------------------------------------------


async def test_answers_carry_our_headers_and_none_of_mlflows(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    file = await scientist.get(f"/mlflow/get-artifact?path=page.html&run_uuid={'a' * 32}")
    assert file.headers["content-security-policy"] == browsing.FILES_CSP
    assert file.headers.get_list("x-frame-options") == ["DENY"]
    assert "set-cookie" not in file.headers
    script = await scientist.get("/mlflow/static-files/static/js/main.js")
    assert script.headers["content-security-policy"] == browsing.CSP


async def test_what_breaks_inside_stays_inside(
    scientist: httpx2.AsyncClient, inside: FakeMlflow
) -> None:
    inside.status = 500
    answer = await scientist.get(f"{API}/experiments/search")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "SELECT" not in answer.text


async def test_a_registered_version_is_asked_to_be_mirrored_before_the_answer(
    scientist: httpx2.AsyncClient, inside: FakeMlflow, resources: Resources
) -> None:
    body = {"name": "elsewhere", "source": SOURCE}
    inside.status = 400
    await scientist.post(f"{API}/model-versions/create", json=body)
    inside.status = 200
    assert (await scientist.post(f"{API}/model-versions/create", json=body)).status_code == 200
    async with resources.database.reading() as session:
        (job,) = await session.scalars(select(Job).where(Job.name == "tracking.mirror"))
    assert job.arguments["model"] == "elsewhere"


async def test_the_interface_comes_with_our_script_first(scientist: httpx2.AsyncClient) -> None:
    led = await scientist.get("/mlflow")
    assert (led.status_code, led.headers["location"]) == (307, "/mlflow/")
    page = await scientist.get("/mlflow/")
    assert page.headers["content-security-policy"] == browsing.CSP
    ours, theirs = page.text.index("astralytiq.js"), page.text.index("static-files/static/js/main")
    assert ours < theirs
    script = await scientist.get("/mlflow/astralytiq.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "X-CSRF-Token" in script.text


async def test_without_the_extra_the_answer_says_what_to_install(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "is_installed", lambda: False)
    viewer = await sign_in(Role.viewer)
    for path in ("/mlflow/", "/mlflow/version"):
        answer = await viewer.get(path)
        assert answer.status_code == 404
        assert "pip install 'astralytiq[mlflow]'" in answer.json()["detail"]


def test_where_a_server_keeps_the_runs_it_is_named() -> None:
    elsewhere = Settings(_env_file=None, mlflow_tracking_uri="https://user:secret@mlflow.example")
    with pytest.raises(NotFound, match="MLFLOW_TRACKING_URI") as refused:
        hosting.refuse_where_it_is_not(elsewhere)
    assert "secret" not in str(refused.value)


async def test_our_own_door_below_it_stays(scientist: httpx2.AsyncClient) -> None:
    assert (await scientist.get("/mlflow/runs")).status_code == 200
    assert (await scientist.post("/mlflow/runs", json={})).status_code == 405
