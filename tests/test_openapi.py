"""The document says what each operation asks for and may answer; nobody writes that by hand."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from astralytiq.app import create_app
from astralytiq.core.security import Role
from astralytiq.core.settings import Settings
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    settings = Settings(_env_file=None, environment="test", secret_key="long enough to sign with")
    return create_app(settings).openapi()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def response(document: Json, operation: Json, status: str) -> Json:
    found: Json = operation["responses"][status]
    if "$ref" in found:
        found = document["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return found


def headers_asked(operation: Json) -> set[str]:
    return {p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"}


async def test_both_addresses_serve_the_document(client: httpx2.AsyncClient) -> None:
    first, second = [
        (await client.get(path)).json() for path in ("/openapi.json", "/api/v1/openapi.json")
    ]
    assert first == second
    assert "/api/v1/projects" in first["paths"]


def test_an_application_that_nobody_uses_is_freed() -> None:
    settings = Settings(_env_file=None, environment="test", secret_key="long enough to sign with")
    app = create_app(settings)
    app.openapi()
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


async def test_every_refusal_is_a_problem(document: Json) -> None:
    for method, path, operation in operations(document):
        for status in operation["responses"]:
            if int(status) >= 400:
                content = response(document, operation, status)["content"]
                assert "application/problem+json" in content, (method, path, status)
    assert "HTTPValidationError" not in str(document)


async def test_what_is_closed_names_three_ways_in(document: Json) -> None:
    closed = [operation for _, _, operation in operations(document) if "security" in operation]
    assert len(closed) > 60
    for operation in closed:
        assert [*map(list, operation["security"])] == [["bearer"], ["key"], ["cookie"]]
        assert response(document, operation, "401")["headers"]["WWW-Authenticate"]["required"]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "key", "cookie"}


async def test_every_number_asked_for_has_a_bound(document: Json) -> None:
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            for schema in parameter["schema"].get("anyOf", [parameter["schema"]]):
                if schema.get("type") == "integer":
                    bounds = {"maximum", "exclusiveMaximum"} & schema.keys()
                    assert bounds, (method, path, parameter["name"])


async def test_a_list_says_that_it_is_counted(document: Json) -> None:
    listed = document["paths"]["/api/v1/tasks"]["get"]
    assert {"X-Total-Count", "Link"} <= set(listed["responses"]["200"]["headers"])


async def test_versions_may_be_asked_for(document: Json) -> None:
    task = document["paths"]["/api/v1/tasks/{task_id}"]
    assert headers_asked(task["get"]) == {"If-None-Match"}
    assert {"200", "304", "404"} <= set(task["get"]["responses"])
    assert task["get"]["responses"]["200"]["headers"]["ETag"]["required"]
    assert headers_asked(task["patch"]) == {"If-Match"}
    assert "412" in task["patch"]["responses"]


async def test_what_is_made_once_takes_a_key(document: Json) -> None:
    assert "Idempotency-Key" in headers_asked(document["paths"]["/api/v1/projects"]["post"])
    for path in ("auth/login", "api-keys"):  # Answers with a secret are not kept.
        assert not headers_asked(document["paths"][f"/api/v1/{path}"]["post"])


async def test_background_work_says_where_to_ask_for_it(document: Json) -> None:
    begun = [
        operation["responses"]["202"]
        for _, path, operation in operations(document)
        if "202" in operation["responses"] and "/auth/" not in path  # There the work is a mail.
    ]
    assert len(begun) > 5
    assert all(answer["headers"]["Location"]["required"] for answer in begun)


async def test_what_a_service_refuses_is_in_the_document(document: Json) -> None:
    register = document["paths"]["/api/v1/auth/register"]["post"]
    assert {"400", "403", "413", "415", "422", "507"} <= set(register["responses"])
    assert "401" not in register["responses"]


async def test_files_have_their_media_types(document: Json) -> None:
    audit = document["paths"]["/api/v1/audit"]["get"]["responses"]["200"]
    assert {"application/json", "text/csv"} <= set(audit["content"])
    assert "required" not in audit["headers"]["X-Total-Count"]
    download = document["paths"]["/api/v1/datasets/{dataset_id}/download"]["get"]["responses"]
    forms = {"application/vnd.apache.parquet", "application/x-ndjson", "text/csv"}
    assert set(download["200"]["content"]) == forms


def test_it_names_no_head_though_every_get_answers_it(document: Json) -> None:
    methods = {method for method, _, _ in operations(document)}
    assert methods == {"get", "post", "put", "patch", "delete"}


async def test_a_method_that_is_not_there_is_told_all_that_are(client: httpx2.AsyncClient) -> None:
    refused = await client.request("OPTIONS", "/api/v1/tasks/")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert refused.headers["content-type"] == "application/problem+json"
    one = await client.request("TRACE", "/api/v1/tasks/1")
    assert one.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"


async def test_a_path_of_its_own_is_no_name_in_another(sign_in: SignIn) -> None:
    analyst = await sign_in(Role.analyst)
    refused = await analyst.put("/api/v1/tasks/stats", json={"title": "Not a task"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    unread = await analyst.put("/api/v1/tasks/statistics", json={"title": "Not a task"})
    assert unread.status_code == 422


def test_no_two_things_have_one_name(document: Json) -> None:
    """Clients that are made from the document would be given names with folders in them."""
    assert [name for name in document["components"]["schemas"] if "__features__" in name] == []
