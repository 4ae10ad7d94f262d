"""What we ask of other servers, and what we refuse to ask."""

import gzip
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx2
import pytest

from astralytiq.core import budgets, http
from astralytiq.core.addresses import is_public
from astralytiq.core.budgets import Budgets, Pace
from astralytiq.core.errors import Invalid
from astralytiq.core.http import Attempt, Fetcher, Patience, Request, Watcher
from astralytiq.core.jobs import Transient
from tests.features.ingestion.servers import Asked, Reply, serving

pytestmark = pytest.mark.anyio

LOCAL = ("127.0.0.1",)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, not waited for: the clock only says so."""
    made: list[float] = []

    async def note(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(http, "sleep", note)
    for module in (http, budgets):
        monkeypatch.setattr(module, "monotonic", lambda: 1000 + sum(made))
    return made


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


class Seen(Watcher):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.waits: list[float] = []

    def attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def held(self, address: str, seconds: float) -> None:
        self.waits.append(round(seconds, 3))


async def fetch(
    url: str,
    allowed: tuple[str, ...] = LOCAL,
    params: dict[str, Any] | None = None,
    request: Request | None = None,
    **options: Any,
) -> http.Fetched:
    async with Fetcher(allowed, **{"budgets": Budgets()} | options) as fetcher:
        return await fetcher.fetch(url, request or Request(), params)


async def test_an_answer_comes_whole_with_what_was_asked() -> None:
    with serving(lambda _: Reply([1, 2], headers={"X-Kind": "list"})) as server:
        me = Request(headers={"X-Who": "me"})
        found = await fetch(f"{server.url}/a?x=1", params={"y": 2}, request=me)
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
        signed = Request(headers={"Authorization": "Bearer x"})
        found = await fetch(f"{server.url}/start", request=signed)
        assert (found.body, found.url) == (b"end", f"{server.url}/end")
        assert server.asked[-1].headers["authorization"] == "Bearer x"
        with pytest.raises(Invalid, match="redirects more than 5 times"):
            await fetch(f"{server.url}/loop")


async def test_secrets_do_not_follow_to_another_server() -> None:
    with serving(lambda _: Reply(b"other")) as other:
        away = Reply(status=307, headers={"Location": f"{other.url}/here"})
        with serving(lambda _: away) as server:
            secrets = {"Authorization": "Bearer x", "X-Key": "y"}
            found = await fetch(server.url, request=Request(headers=secrets))
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


@pytest.mark.parametrize(
    ("listed", "status"),
    [("[::1]", None), ("[::1]:9", None), ("::1", None), ("[::1]:8", 422), ("[::2]", 422)],
)
async def test_an_address_of_ipv6_is_listed_and_shown_as_in_the_url(
    monkeypatch: pytest.MonkeyPatch, listed: str, status: int | None
) -> None:
    async def nobody(*_: Any, **__: Any) -> None:
        raise httpx2.ConnectError("refused")

    monkeypatch.setattr(httpx2.AsyncClient, "send", nobody)
    with pytest.raises(Invalid if status else Transient) as told:
        await fetch("http://[::1]:9/x", (listed,), patience=Patience(1))
    assert str(told.value).startswith("http://[::1]:9/x ")


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


WORDS = b'["cut"]' * 1000


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        ("gzip", gzip.compress(WORDS)),
        ("gzip", WORDS),  # Somebody on the way has unpacked it.
        ("deflate", zlib.compress(WORDS)),
        ("deflate", zlib.compress(WORDS)[2:-4]),  # As some servers understand it.
    ],
)
async def test_what_is_packed_is_unpacked(packing: str, body: bytes) -> None:
    packed = Reply(body, headers={"Content-Encoding": packing})
    with serving(lambda _: packed) as server:
        assert (await fetch(server.url)).body == WORDS


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        ("gzip", gzip.compress(WORDS)[:-9]),
        ("deflate", zlib.compress(WORDS)[:-9]),
        ("deflate", b"neither"),
    ],
)
async def test_what_cannot_be_unpacked_is_asked_for_again(
    waits: list[float], packing: str, body: bytes
) -> None:
    packed = Reply(body, headers={"Content-Encoding": packing})
    with serving(lambda _: packed) as server, pytest.raises(Transient, match="be unpacked"):
        await fetch(server.url, patience=Patience(2))
    assert len(server.asked) == 2
    assert len(waits) == 1


async def test_22_what_is_deflated_is_not_unpacked_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1 << 20)
    packed = Reply(zlib.compress(bytes(8 << 20)), headers={"Content-Encoding": "deflate"})
    with serving(lambda _: packed) as server, pytest.raises(Invalid, match="more than 1 MB"):
        await fetch(server.url)


def caused_by(cause: BaseException) -> httpx2.ConnectError:
    error = httpx2.ConnectError("of the client")
    error.__cause__ = cause
    return error


EXPIRED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] verify failed")
EXPIRED.verify_message = "certificate has expired"


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (caused_by(ConnectionRefusedError()), "nothing listens there: check the port"),
        (caused_by(EXPIRED), "certificate cannot be trusted: certificate has expired"),
        (caused_by(ssl.SSLError("[SSL: WRONG_VERSION_NUMBER]")), "check the port, or try http://"),
        (httpx2.RemoteProtocolError("illegal status line: SSH-2.0"), "did not answer in HTTP"),
        (
            httpx2.RemoteProtocolError("Server disconnected without sending a response."),
            "hung up without an answer",
        ),
        (httpx2.RemoteProtocolError("peer closed connection"), "in the middle of its answer"),
        (httpx2.ReadTimeout("slow"), "did not answer in time"),
    ],
)
async def test_why_a_server_cannot_be_reached_is_told(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception, words: str
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise trouble

    monkeypatch.setattr(httpx2.AsyncClient, "send", fail)
    with pytest.raises(Transient, match=words):
        await fetch("http://127.0.0.1:9/x", patience=Patience(1))


async def test_a_server_that_has_moved_and_asks_for_the_sign_in_is_named() -> None:
    asks = Reply(status=401)
    with serving(lambda _: asks) as new:
        moved = Reply(status=301, headers={"Location": f"{new.url}/v2"})
        with serving(lambda _: moved) as old, pytest.raises(Invalid) as told:
            await fetch(f"{old.url}/v1", request=Request(headers={"Authorization": "Bearer x"}))
    assert f"{old.url}/v1 redirects to another server" in str(told.value)
    assert f"answered 401: if it has moved there, make {new.url}/v2 the url." in str(told.value)
    assert "authorization" not in new.asked[0].headers


@pytest.mark.parametrize(
    ("status", "words"), [(429, "429. It allows fewer"), (503, "503. That is its own fault")]
)
async def test_what_lasts_is_told_with_what_to_do(status: int, words: str) -> None:
    reply = Reply(status=status)
    with serving(lambda _: reply) as server, pytest.raises(Transient, match=words):
        await fetch(server.url, patience=Patience(1))


async def test_22_what_is_packed_twice_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty kilobytes would become gigabytes at once."""
    bomb = gzip.compress(gzip.compress(bytes(8 << 20)))
    packed = Reply(bomb, headers={"Content-Encoding": "gzip, gzip"})
    with (
        serving(lambda _: packed) as server,
        pytest.raises(Invalid, match="only gzip and deflate are read"),
    ):
        await fetch(server.url)


async def test_what_is_packed_and_damaged_is_asked_for_again(
    waits: list[float],
) -> None:
    wrong = Reply(b"\x1f\x8b[1]", headers={"Content-Encoding": "gzip"})
    with serving(in_turn(wrong, Reply(b"[2]"))) as server:
        assert (await fetch(server.url)).body == b"[2]"


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:99999/", "http://a:b/"])
async def test_a_redirect_that_leads_to_no_address_is_refused(location: str) -> None:
    away = Reply(status=302, headers={"Location": location})
    with serving(lambda _: away) as server, pytest.raises(Invalid, match="not a web address"):
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


# What is sent with it, and under which condition -------------------------------------------------


async def test_a_body_is_posted_as_json() -> None:
    with serving(lambda _: Reply(b"fine")) as server:
        await fetch(server.url, request=Request("POST", {"X-Who": "me"}, {"q": ["a", 1]}))
    (asked,) = server.asked
    assert (asked.method, asked.body) == ("POST", {"q": ["a", 1]})
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("status", "method"), [(303, "GET"), (302, "GET"), (307, "POST")])
async def test_a_redirected_post_becomes_what_the_status_says(status: int, method: str) -> None:
    def answer(asked: Asked) -> Reply:
        away = {"Location": "/end"}
        return Reply(b"end") if asked.path == "/end" else Reply(status=status, headers=away)

    with serving(answer) as server:
        await fetch(server.url, request=Request("POST", body={"q": 1}))
    assert server.asked[-1].method == method
    assert server.asked[-1].body == ({"q": 1} if method == "POST" else None)


async def test_a_body_does_not_follow_to_another_server() -> None:
    with serving(lambda _: Reply(b"other")) as other:
        away = Reply(status=307, headers={"Location": f"{other.url}/here"})
        with serving(lambda _: away) as server, pytest.raises(Invalid, match="another server"):
            await fetch(server.url, request=Request("POST", body={"q": 1}))
    assert not other.asked


async def test_unchanged_is_an_answer_to_who_asked_for_changes() -> None:
    with serving(lambda _: Reply(status=304)) as server:
        found = await fetch(server.url, request=Request(headers={"If-None-Match": '"1"'}))
        assert (found.status, found.body) == (304, b"")
        with pytest.raises(Invalid, match="answered 304"):
            await fetch(server.url)


# Patience, and what others are told of it --------------------------------------------------------


async def test_every_attempt_is_told_with_its_wait_and_no_query(waits: list[float]) -> None:
    seen = Seen()
    replies = in_turn(Reply(status=503, headers={"Retry-After": "7"}), Reply(b"fine"))
    with serving(replies) as server:
        await fetch(f"{server.url}/x?key=hidden", watcher=seen)
        address = f"{server.url}/x"
    assert seen.attempts == [
        Attempt(address, 1, 503, "answered 503", 7.0), Attempt(address, 2, 200)
    ]  # fmt: skip
    assert seen.waits == []


async def test_a_refusal_is_told_too() -> None:
    seen = Seen()
    with serving(lambda _: Reply(status=404)) as server, pytest.raises(Invalid):
        await fetch(server.url, watcher=seen)
    assert [(one.number, one.status, one.wait) for one in seen.attempts] == [(1, 404, 0.0)]


async def test_patience_ends_after_its_attempts(waits: list[float]) -> None:
    with serving(lambda _: Reply(status=500)) as server, pytest.raises(Transient):
        await fetch(server.url, patience=Patience(attempts=2))
    assert (len(server.asked), len(waits)) == (2, 1)


async def test_patience_ends_after_its_seconds(waits: list[float]) -> None:
    """One deadline for all attempts: no pause is begun that would end after it."""
    slow = Reply(status=503, headers={"Retry-After": "40"})
    with serving(lambda _: slow) as server, pytest.raises(Transient):
        await fetch(server.url, patience=Patience(attempts=9, max_seconds=100))
    assert (len(server.asked), sum(waits)) == (3, 80)


async def test_who_waits_is_asked_whether_to_go_on(waits: list[float]) -> None:
    class Stop(Seen):
        def check(self) -> None:
            if sum(waits) >= 60:
                raise InterruptedError

    slow = Reply(status=503, headers={"Retry-After": "100"})
    with serving(lambda _: slow) as server, pytest.raises(InterruptedError):
        await fetch(server.url, watcher=Stop())
    assert waits == [30.0, 30.0]


# Budgets -----------------------------------------------------------------------------------------


async def test_requests_keep_the_pace_that_was_set(waits: list[float]) -> None:
    shared, seen = Budgets(), Seen()
    with serving(lambda _: Reply(b"fine")) as server:
        for _ in range(5):
            await fetch(server.url, pace=Pace(2, 10), budgets=shared, watcher=seen)
    assert waits == seen.waits == [10, 10]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "20"}, 20),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}, 0.5),
        ({"X-RateLimit-Remaining": "0"}, 0.5),
        ({"RateLimit": '"default";r=0;t=25'}, 25),
        ({"RateLimit": '"hour";r=7;t=900, "burst";r=0;t=3'}, 3),
        ({"RateLimit": "limit=10, remaining=0, reset=12"}, 12),
        ({"RateLimit": '"default";r=1;t=25', "X-RateLimit-Remaining": "1"}, 0),
        ({"X-RateLimit-Remaining": "none", "RateLimit": "nonsense"}, 0),
    ],
)
async def test_a_budget_that_is_used_up_is_waited_for_by_all(
    waits: list[float], headers: dict[str, str], wait: float
) -> None:
    shared = Budgets()
    with serving(lambda _: Reply(b"fine", headers=headers)) as server:
        for _ in range(2):
            await fetch(server.url, budgets=shared)
    assert waits == ([wait] if wait else [])


def test_a_reset_may_be_a_time() -> None:
    now = time.time()
    for reset in (str(int(now) + 60), str(int(now * 1000) + 60_000), formatdate(now + 60)):
        found = budgets.used_up({"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})
        assert found is not None
        assert 55 < found <= 60.5


async def test_a_host_that_closes_for_long_is_not_asked_meanwhile(waits: list[float]) -> None:
    shared = Budgets()
    with serving(lambda _: Reply(status=429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(Transient):
            await fetch(server.url, budgets=shared)
        with pytest.raises(Transient, match="left alone for 3600 s"):
            await fetch(server.url, budgets=shared)
    assert (len(server.asked), waits) == (1, [])


@pytest.mark.parametrize("seconds", [86_400.0, float("inf")])
def test_no_host_is_closed_for_ever(seconds: float) -> None:
    shared = Budgets()
    shared.close("a", seconds)
    assert 3599 < shared.closed_for("a") <= 3600


def test_hosts_are_forgotten_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MOST_HOSTS", 2)
    shared = Budgets()
    for name in ("a", "b", "c"):
        shared.close(name, 60)
    assert [round(shared.closed_for(name)) for name in ("b", "c", "a")] == [60, 60, 0]
