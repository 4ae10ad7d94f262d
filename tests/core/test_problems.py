"""A refusal says in plain words what is wrong and where."""

from typing import Any

import pytest

from astralytiq.core.security import Role
from tests.conftest import SignIn

pytestmark = pytest.mark.anyio

POSTS: dict[str, Any] = {"name": "posts", "kind": "api", "url": "https://api.example.com/posts"}


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        (
            POSTS | {"auth": {"type": "bearer", "secret": "hunter2"}},
            "body.api.auth.secret",
            "give a reference, 'env:NAME' or 'secret:NAME', never the secret itself",
        ),
        (POSTS | {"kind": "tape"}, "body", "'kind' is 'tape': use 'csv', 'api', 'rss'"),
        ({"name": "posts"}, "body", "'kind' is missing"),
        (POSTS | {"name": "My Posts"}, "body.api.name", "use a-z, 0-9, - and _, with a letter"),
        (POSTS | {"mapping": {"titel": "x"}}, "body.api.mapping.titel", "Input should be 'title',"),
    ],
)
async def test_a_fault_is_told_in_our_words(
    sign_in: SignIn, body: dict[str, Any], place: str, words: str
) -> None:
    scientist = await sign_in(Role.data_scientist)
    refused = await scientist.post("/api/v1/sources", json=body)
    (fault,) = refused.json()["errors"]
    assert ".".join(map(str, fault["loc"])) == place
    assert fault["msg"].startswith(words)
    assert refused.json()["detail"].startswith(f"Correct and send again: {place}: {words}")
    assert "hunter2" not in refused.text
