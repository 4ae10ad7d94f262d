"""The client that commands and examples speak through."""

import httpx2
import pytest

from astralytiq import client
from astralytiq.client import Client


@pytest.mark.parametrize("total", [0, 1, 2, 3, 4, 5])
def test_a_list_is_read_page_after_page(monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    monkeypatch.setattr(client, "PAGE", 2)

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked = request.url.params
        assert (request.url.path, asked["of"]) == ("/api/v1/things", "mine")
        offset = int(asked["offset"])
        page = list(range(total))[offset : offset + int(asked["limit"])]
        return httpx2.Response(200, json=page, headers={"X-Total-Count": str(total)})

    with Client(transport=httpx2.MockTransport(answer)) as speaking:
        assert speaking.every("/things", {"of": "mine"}) == list(range(total))
        assert speaking.total == total
