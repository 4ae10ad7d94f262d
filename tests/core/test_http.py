"""What we ask of other servers, and what we refuse to ask."""

import gzip
import socket
from collections.abc import Callable
from typing import Any

import pytest

from astralytiq.core import http
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Fetcher, is_public
from astralytiq.core.jobs import Transient
from tests.features.ingestion.servers import Asked, Reply, serving

pytestmark = pytest.mark.anyio

LOCAL = ("127.0.0.1",)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, not waited for."""
    made: list[float] = []

    async def note(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(http, "sleep", note)
    return made


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


async def fetch(url: str, allowed: tuple[str, ...] = LOCAL, **wishes: Any) -> http.Fetched:
    async with Fetcher(allowed) as fetcher:
        return await fetcher.get(url, **wishes)


async def test_an_answer_comes_whole_with_what_was_asked() -> None:
    with serving(lambda _: Reply([1, 2], headers={"X-Kind": "list"})) as server:
        found = await fetch(f"{server.url}/a?x=1", headers={"X-Who": "me"}, params={"y": 2})
    assert (found.body, found.headers["x-kind"]) == (b"[1, 2]", "list")
    assert server.asked[0].params == {"x": "1", "y": "2"}
    assert server.asked[0].headers["x-who"] == "me"
    assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"


async def test_packed_answers_are_unpacked() -> None:
    packed = Reply(gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    with serving(lambda _: packed) as server:
        assert (await fetch(server.url)).body == b"[1]"


async def test_a_server_that_stumbles_is_asked_again(waits: list[float]) -> None:
    replies = in_turn(Reply(status=500), Reply(status=429), Reply(b"fine"))
    with serving(replies) as server:
        assert (await fetch(server.url)).body == b"fine"
    assert len(server.asked) == 3
    assert all(0 <= wait <= limit for wait, limit in zip(waits, (0.5, 1.0), strict=True))


async def test_a_server_says_how_long_to_wait(waits: list[float]) -> None:
    replies = in_turn(
        Reply(status=503, headers={"Retry-After": "7"}),
        Reply(status=503, headers={"Retry-After": "0"}),
        Reply(status=503, headers={"Retry-After": "Thu, 01 Jan 2015 00:00:00 GMT"}),
        Reply(b"fine"),
    )
    with serving(replies) as server:
        assert (await fetch(server.url)).body == b"fine"
    assert waits == [7, 0.5, 0.5]


async def test_a_server_that_asks_for_an_hour_is_left_to_the_next_attempt(
    waits: list[float],
) -> None:
    with (
        serving(lambda _: Reply(status=429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(Transient, match="answered 429"),
    ):
        await fetch(server.url)
    assert (len(server.asked), waits) == (1, [])


async def test_lasting_trouble_is_transient(waits: list[float]) -> None:
    with (
        serving(lambda _: Reply(status=502)) as server,
        pytest.raises(Transient, match="answered 502"),
    ):
        await fetch(f"{server.url}/x?token=hidden")
    assert len(server.asked) == http.ATTEMPTS
    with pytest.raises(Transient, match="could not be reached") as gone:
        await fetch(f"{server.url}/x?token=hidden")
    assert "hidden" not in str(gone.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 304])
async def test_a_refusal_is_final_and_says_why(status: int) -> None:
    with (
        serving(lambda _: Reply(status=status)) as server,
        pytest.raises(Invalid, match=f"/x answered {status}") as refused,
    ):
        await fetch(f"{server.url}/x?token=hidden")
    assert len(server.asked) == 1
    assert "hidden" not in str(refused.value)


async def test_redirects_are_followed_within_limits() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/start":
            return Reply(status=302, headers={"Location": "/end"})
        if asked.path == "/loop":
            return Reply(status=301, headers={"Location": "/loop"})
        return Reply(b"end")

    with serving(answer) as server:
        found = await fetch(f"{server.url}/start", headers={"Authorization": "Bearer x"})
        assert (found.body, found.url) == (b"end", f"{server.url}/end")
        assert server.asked[-1].headers["authorization"] == "Bearer x"
        with pytest.raises(Invalid, match="redirects more than 5 times"):
            await fetch(f"{server.url}/loop")


async def test_secrets_do_not_follow_to_another_server() -> None:
    with serving(lambda _: Reply(b"other")) as other:
        away = Reply(status=307, headers={"Location": f"{other.url}/here"})
        with serving(lambda _: away) as server:
            found = await fetch(server.url, headers={"Authorization": "Bearer x", "X-Key": "y"})
    assert found.body == b"other"
    assert not {"authorization", "x-key"} & set(other.asked[0].headers)


async def test_20_a_redirect_to_a_private_address_is_refused() -> None:
    with serving(lambda _: Reply(b"secret")) as inner:
        away = Reply(status=302, headers={"Location": f"{inner.url}/"})
        with serving(lambda _: away) as server, pytest.raises(Invalid, match="private address"):
            await fetch(server.url, (f"127.0.0.1:{server.port}",))
    assert not inner.asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "0x7f.1", "10.0.0.1",
     "169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]", "100.64.0.1", "[64:ff9b::7f00:1]"],
)  # fmt: skip
async def test_20_private_addresses_are_refused_in_any_spelling(host: str) -> None:
    with pytest.raises(Invalid, match="private address") as refused:
        await fetch(f"http://{host}:9/x", ())
    assert "ALLOW_PRIVATE_SOURCES" in str(refused.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/", "http://", "gopher:x"])
async def test_20_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="web address"):
        await fetch(url, ())


async def test_20_one_private_address_among_public_ones_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.7"]

    monkeypatch.setattr(http, "resolve", two)
    with pytest.raises(Invalid, match="private address"):
        await fetch("http://rebound.example/", ())


async def test_20_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that would answer differently a moment later is not asked again."""

    async def once(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(http, "resolve", once)
    with serving(lambda _: Reply(b"pinned")) as server:
        url = f"http://no-such-host.invalid:{server.port}/"
        assert (await fetch(url)).body == b"pinned"
    assert server.asked[0].headers["host"] == f"no-such-host.invalid:{server.port}"


async def test_unknown_hosts_are_final(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Invalid, match=r"no host named 'nowhere\.invalid'"):
        await fetch("http://nowhere.invalid/", ())


async def test_22_answers_are_bounded_also_once_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1 << 20)
    bomb = Reply(gzip.compress(bytes(8 << 20)), headers={"Content-Encoding": "gzip"})
    with serving(lambda _: bomb) as server, pytest.raises(Invalid, match="more than 1 MB at once"):
        await fetch(server.url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True),
        ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("224.0.0.1", False),
        ("ff02::1", False), ("255.255.255.255", False), ("192.168.1.1", False), ("fd00::1", False),
    ],
)  # fmt: skip
def test_20_public_means_globally_routable(address: str, public: bool) -> None:
    assert is_public(address) is public
