"""Outgoing HTTP: only to addresses that may be reached, patient with servers that stumble.

Each host is resolved once, every address of it is checked, and the connection goes to a checked
address (the name still stands in Host and in the TLS handshake), so that a name which answers
differently a moment later leads nowhere new. Proxies of the environment are not used: behind one,
nothing of this would hold.
"""

import asyncio
import gzip
import io
import random
import socket
import ssl
import zlib
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import httpx2
import msgspec

from astralytiq.core.addresses import (
    PORTS,
    host_of,
    is_public,
    joined,
    origin,
    parsed,
    shown,
    spellings,
)
from astralytiq.core.budgets import LEAST_WAIT, SHARED, Budgets, Pace
from astralytiq.core.errors import Invalid
from astralytiq.core.http_faults import Refused as Refused
from astralytiq.core.http_faults import Stumbled as Stumbled
from astralytiq.core.http_faults import after_redirects, refuse_status, remedy_of, words_of
from astralytiq.core.jobs import Transient

ATTEMPTS = 4
BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
LONGEST_WAIT = 120.0  # a server that asks for more is left to the job's own next attempt
TOTAL_SECONDS = 300.0  # of one attempt
SLICE_SECONDS = 30.0  # of a wait, after which somebody may have asked to stop
MOST_BYTES = 100 << 20
MOST_REDIRECTS = 5
TIMEOUT = httpx2.Timeout(30, connect=10)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PACKINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True, "deflate": True}
GZIP = b"\x1f\x8b"
CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
BECOME_GET = frozenset({301, 302, 303})


Method = Literal["GET", "POST"]


@dataclass(frozen=True)
class Request:
    """What is asked of a server besides its address; `body` is sent as JSON."""

    method: Method = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else msgspec.json.encode(self.body)

    @property
    def is_conditional(self) -> bool:
        return any(name.lower() in CONDITIONS for name in self.headers)


@dataclass(frozen=True)
class Fetched:
    """An answer: the address it came from in the end, its headers, its whole body, its status,
    which is 304 if a condition was asked and what is there has not changed."""

    url: str
    headers: httpx2.Headers
    body: bytes
    status: int = 200


@dataclass(frozen=True)
class Patience:
    """How often a request is tried, and for how many seconds from first to last."""

    attempts: int = ATTEMPTS
    max_seconds: float = 600.0


@dataclass(frozen=True)
class Attempt:
    """What became of one try; `wait` is the pause before the next, 0 if there is none."""

    address: str
    number: int
    status: int | None
    trouble: str = ""
    wait: float = 0.0


class Watcher:
    """Is told what happens on the way to an answer; this one lets it pass."""

    def attempted(self, attempt: Attempt) -> None: ...

    def held(self, address: str, seconds: float) -> None:
        """A budget makes us wait."""

    def check(self) -> None:
        """Raises if the work is to stop."""


class Sink(Protocol):
    """Takes a body that is too large for memory: see `downloads.py`."""

    def headers(self) -> dict[str, str]: ...

    def refuse_range(self, response: httpx2.Response) -> None: ...

    async def take(self, url: httpx2.URL, response: httpx2.Response) -> None: ...


@cache
def trusted() -> ssl.SSLContext:
    """Whose certificates we trust, read once in a process: it takes 20 ms, for plain http, too."""
    return httpx2.create_ssl_context()


def direct_transport() -> httpx2.AsyncHTTPTransport:
    return httpx2.AsyncHTTPTransport(verify=trusted())


class Fetcher:
    """One client for the requests of one piece of work. `allowed`: hosts, addresses, host:port."""

    def __init__(
        self,
        allowed: tuple[str, ...] = (),
        *,
        patience: Patience | None = None,
        pace: Pace | None = None,
        budgets: Budgets | None = None,
        watcher: Watcher | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._patience = patience or Patience()
        self._pace = pace
        self._budgets = budgets or SHARED
        self._watcher = watcher or Watcher()
        self._client = httpx2.AsyncClient(
            transport=transport or direct_transport(),
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
            headers={
                "User-Agent": "AstralytiQ",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def fetch(
        self,
        url: str,
        request: Request,
        params: Mapping[str, Any] | None = None,
        into: Sink | None = None,
    ) -> Fetched:
        """The answer. Refusals (other 4xx) are `Invalid`, lasting trouble `Transient`.

        With `into` its body goes there, for as long as our patience lasts.
        """
        target = parsed(url)
        target = target.copy_merge_params(params) if params else target
        await self._turn(target, 0.0)
        until = monotonic() + self._patience.max_seconds
        for number in range(1, self._patience.attempts + 1):
            found = await self._try(target, request, number, until - monotonic(), into)
            if isinstance(found, Fetched):
                return found
            await self._turn(target, found)
        raise AssertionError("unreachable")

    async def _try(
        self, url: httpx2.URL, request: Request, number: int, left: float, into: Sink | None
    ) -> Fetched | float:
        """An answer, or the seconds after which to ask again."""
        attempt = Attempt(shown(url), number, None)
        try:
            most = left if into else min(TOTAL_SECONDS, left)
            async with asyncio.timeout(max(most, LEAST_WAIT)):
                found = await self._follow(url, request, number, into)
        except Refused as refusal:
            self._watcher.attempted(replace(attempt, status=refusal.answered, trouble="refused"))
            raise after_redirects(url, refusal) from None
        except (Stumbled, httpx2.TransportError, TimeoutError) as trouble:
            return self._again(url, attempt, trouble, left)
        self._watcher.attempted(replace(attempt, status=found.status))
        return found

    def _again(self, url: httpx2.URL, attempt: Attempt, trouble: Exception, left: float) -> float:
        wait, status = pause(attempt.number, trouble), None
        if isinstance(trouble, Stumbled):
            status = trouble.answered
            if trouble.wait is not None:
                self._budgets.close(host_of(url), wait)
        last = attempt.number == self._patience.attempts or wait > min(LONGEST_WAIT, left)
        words = words_of(trouble)
        self._watcher.attempted(
            replace(attempt, status=status, trouble=words, wait=0.0 if last else wait)
        )
        if last:
            raise Transient(f"{shown(url)} {words}.{remedy_of(status)}") from None
        return wait

    async def _turn(self, url: httpx2.URL, wait: float) -> None:
        """Wait for our place in the host's budget, and for `wait` seconds at least."""
        host = host_of(url)
        if (closed := self._budgets.closed_for(host)) > LONGEST_WAIT:
            raise Transient(
                f"{shown(url)} is to be left alone for {closed:.0f} s: it said so. Run it then, or "
                "ask its owner for a higher limit."
            )
        left = self._budgets.take(host, self._pace, wait)
        if left > wait:
            self._watcher.held(shown(url), left - wait)
        while left > 0:
            self._watcher.check()
            await sleep(min(left, SLICE_SECONDS))
            left -= SLICE_SECONDS

    async def _follow(
        self, url: httpx2.URL, request: Request, attempt: int, into: Sink | None
    ) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url, request, attempt, into)
            if isinstance(answer, Fetched):
                return answer
            status, location = answer
            following = joined(url, location)
            if request.method == "POST" and status in BECOME_GET:
                request = replace(request, method="GET", body=None)
            if origin(following) != origin(url):
                if request.body is not None:
                    raise Invalid(f"{shown(url)} redirects to another server: check the url.")
                # What was meant for one server is not shown to another.
                request = replace(request, headers={})
            url = following
        raise Invalid(f"{shown(url)} redirects more than {MOST_REDIRECTS} times: check the url.")

    async def _ask(
        self, url: httpx2.URL, request: Request, attempt: int, into: Sink | None
    ) -> Fetched | tuple[int, str]:
        """One request: the answer, or its status and where it redirects to."""
        addresses = await self.addresses(url)
        address = addresses[(attempt - 1) % len(addresses)]
        media = {} if request.body is None else {"Content-Type": "application/json"}
        wanted = into.headers() if into else {}
        response = await self._client.send(
            self._client.build_request(
                request.method,
                url.copy_with(host=address),
                headers={**media, **request.headers, **wanted, "Host": url.netloc.decode("ascii")},
                content=request.content,
                extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
            ),
            stream=True,
        )
        try:
            self._client.cookies.clear()
            self._budgets.learn(host_of(url), response.headers)
            if response.status_code in REDIRECTS and "location" in response.headers:
                return response.status_code, response.headers["location"]
            if response.status_code == 304 and request.is_conditional:
                return Fetched(str(url), response.headers, b"", 304)
            if into:
                into.refuse_range(response)
            refuse_status(url, response)
            body = await (into.take(url, response) if into else bounded(url, response)) or b""
            return Fetched(str(url), response.headers, body, response.status_code)
        finally:
            await response.aclose()

    async def addresses(self, url: httpx2.URL) -> list[str]:
        """Where the host of `url` is; `Invalid` unless every address may be reached."""
        if url.scheme not in PORTS or not url.host:
            raise Invalid(f"{shown(url)} is not a web address: it must begin with http(s)://.")
        port = url.port or PORTS[url.scheme]
        found = await resolve(url.raw_host.decode("ascii").strip("[]"), port)
        named = spellings(url.host.lower(), port) & self._allowed
        if not named and not all(self._may_reach(address, port) for address in found):
            raise Invalid(
                f"{shown(url)} leads to a private address, which sources may not read: use a "
                "public address, or have an admin list this host in ALLOW_PRIVATE_SOURCES."
            )
        return found

    def _may_reach(self, address: str, port: int) -> bool:
        return bool(spellings(address, port) & self._allowed) or is_public(address)


async def resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        if getattr(error, "errno", None) == socket.EAI_AGAIN:
            raise Stumbled("could not be found just now: the name server does not answer") from None
        raise Invalid(f"There is no host named {host!r}: check the url.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def bounded(url: httpx2.URL, response: httpx2.Response) -> bytes:
    """The body, unpacked, while it stays below the limit.

    The client would unpack each part as a whole, and what was packed twice a thousand times
    a thousand: 30 kB become gigabytes before anybody can count them.
    """
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in PACKINGS:
        raise Invalid(
            f"{shown(url)} packs its answers as {packing!r}, though it was asked for gzip: only "
            "gzip and deflate are read. Ask its makers to heed Accept-Encoding."
        )
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        refuse_large(url, body)
    if not body or not PACKINGS[packing] or not is_packed(packing, body):
        return bytes(body)
    whole = await asyncio.to_thread(unpacked, bytes(body), packing)
    refuse_large(url, whole)
    return whole


def is_packed(packing: str, body: bytes | bytearray) -> bool:
    """Servers behind others say gzip of what somebody has unpacked on the way."""
    return packing == "deflate" or body.startswith(GZIP)


def unpacked(body: bytes, packing: str = "gzip") -> bytes:
    """No more of it than shows that it is too large."""
    try:
        if packing == "deflate":
            return inflated(body)
        return gzip.GzipFile(fileobj=io.BytesIO(body)).read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise Stumbled("answered something that cannot be unpacked") from None


def inflated(body: bytes) -> bytes:
    """With zlib's envelope, as it is meant, or without, as some servers send it."""
    try:
        made = zlib.decompressobj(zlib.MAX_WBITS)
        found = made.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        made = zlib.decompressobj(-zlib.MAX_WBITS)
        found = made.decompress(body, MOST_BYTES + 1)
    if not made.eof and len(found) <= MOST_BYTES:
        raise EOFError
    return found


def refuse_large(url: httpx2.URL, body: bytes | bytearray) -> None:
    if len(body) > MOST_BYTES:
        raise Invalid(
            f"{shown(url)} answers more than {MOST_BYTES >> 20} MB at once: "
            "ask for smaller pages (pagination)."
        )


def pause(attempt: int, trouble: Exception) -> float:
    """What the server asked for, at least half a second; else full jitter, ever wider."""
    if isinstance(trouble, Stumbled) and trouble.wait is not None:
        return max(trouble.wait, LEAST_WAIT)
    return random.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** (attempt - 1)))
