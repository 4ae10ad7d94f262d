"""Every list has pages, also the short ones, and an answer without a body says nothing of one."""

import httpx2
import pytest
from starlette.datastructures import URL

from astralytiq.core.paging import Page
from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

KEYS = "/api/v1/api-keys"


def test_from_beyond_the_end_the_page_before_is_the_last_one() -> None:
    links = Page(limit=10, offset=1000).links(URL("http://host/things"), total=25)
    assert '</things?limit=10&offset=20>; rel="prev"' in links
    assert '</things?limit=10&offset=0>; rel="prev"' in Page(10, 50).links(URL("/things"), total=0)


async def with_keys(owner: httpx2.AsyncClient) -> list[int]:
    bodies = [{"name": f"gateway {number}", "scopes": ["data:read"]} for number in range(3)]
    return [(await owner.post(KEYS, json=body)).json()["id"] for body in bodies]


async def test_short_lists_have_pages_too(sign_in: SignIn) -> None:
    admin = await sign_in(Role.admin)
    keys = await with_keys(admin)
    me = (await admin.get("/api/v1/auth/me")).json()["id"]
    page = await admin.get(KEYS, params={"limit": 1, "skip": 1})
    assert [key["id"] for key in page.json()] == keys[1:2]
    assert page.headers["x-total-count"] == "3"
    assert 'limit=1&offset=2>; rel="next"' in page.headers["link"]
    for path in ("/auth/sessions", f"/users/{me}/sessions", "/metrics/figures"):
        whole = await admin.get(f"/api/v1{path}")
        assert whole.headers["x-total-count"] == str(len(whole.json()))
        beyond = await admin.get(f"/api/v1{path}", params={"offset": 1000})
        assert (beyond.json(), beyond.headers["x-total-count"]) == ([], str(len(whole.json())))
        assert (await admin.get(f"/api/v1{path}", params={"limit": 1001})).status_code == 422


async def test_what_has_no_body_has_no_media_type(sign_in: SignIn) -> None:
    owner = await sign_in(Role.analyst)
    (key, *_) = await with_keys(owner)
    gone = await owner.delete(f"{KEYS}/{key}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert "content-type" not in gone.headers
