"""Outgoing HTTP: only to addresses that may be reached, patient with servers that stumble.

Each host is resolved once, every address of it is checked, and the connection goes to a checked
address (the name still stands in Host and in the TLS handshake), so that a name which answers
differently a moment later leads nowhere new. Proxies of the environment are not used: behind one,
nothing of this would hold.
"""

import asyncio
import ipaddress
import random
import socket
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx2

from astralytiq.core.errors import Invalid
from astralytiq.core.jobs import Transient

ATTEMPTS = 4
BASE_SECONDS = 0.5
CAP_SECONDS = 30.0
LEAST_WAIT = 0.5
LONGEST_WAIT = 120.0  # a server that asks for more is left to the job's own next attempt
TOTAL_SECONDS = 300.0
MOST_BYTES = 100 << 20
MOST_REDIRECTS = 5
TIMEOUT = httpx2.Timeout(30, connect=10)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429})  # and 5xx: the same request may succeed later
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Fetched:
    """An answer: the address it came from in the end, its headers, its whole body."""

    url: str
    headers: httpx2.Headers
    body: bytes


class Stumbled(Exception):
    """This attempt failed, the next may not; `wait` is what the server asked for, in seconds."""

    def __init__(self, words: str, wait: float | None = None) -> None:
        super().__init__(words)
        self.wait = wait


class Fetcher:
    """One client for the requests of one piece of work. `allowed`: hosts, addresses, host:port."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(),
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "AstralytiQ", "Accept": "application/json"},
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

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Fetched:
        """The answer to GET. Refusals (other 4xx) are `Invalid`, lasting trouble `Transient`."""
        target = parsed(url)
        target = target.copy_merge_params(params) if params else target
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TOTAL_SECONDS):
                    return await self._follow(target, dict(headers or {}), attempt)
            except (Stumbled, httpx2.TransportError, TimeoutError) as trouble:
                wait = pause(attempt, trouble)
                if attempt == ATTEMPTS or wait > LONGEST_WAIT:
                    raise Transient(f"{shown(target)} {words_of(trouble)}.") from None
            await sleep(wait)
        raise AssertionError("unreachable")

    async def _follow(self, url: httpx2.URL, headers: dict[str, str], attempt: int) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._ask(url, headers, attempt)
            if isinstance(answer, Fetched):
                return answer
            following = parsed(urljoin(str(url), answer))
            if origin(following) != origin(url):
                headers = {}  # What was meant for one server is not shown to another.
            url = following
        raise Invalid(f"{shown(url)} redirects more than {MOST_REDIRECTS} times: check the url.")

    async def _ask(self, url: httpx2.URL, headers: dict[str, str], attempt: int) -> Fetched | str:
        """One request: the answer, or where it redirects to."""
        addresses = await self.addresses(url)
        address = addresses[(attempt - 1) % len(addresses)]
        request = self._client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={**headers, "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
        )
        response = await self._client.send(request, stream=True)
        try:
            self._client.cookies.clear()
            if response.status_code in REDIRECTS and "location" in response.headers:
                return response.headers["location"]
            refuse_status(url, response)
            return Fetched(str(url), response.headers, await bounded(url, response))
        finally:
            await response.aclose()

    async def addresses(self, url: httpx2.URL) -> list[str]:
        """Where the host of `url` is; `Invalid` unless every address may be reached."""
        if url.scheme not in PORTS or not url.host:
            raise Invalid(f"{shown(url)} is not a web address: it must begin with http(s)://.")
        port = url.port or PORTS[url.scheme]
        found = await resolve(url.raw_host.decode("ascii").strip("[]"), port)
        named = {url.host.lower(), f"{url.host.lower()}:{port}"} & self._allowed
        if not named and not all(self._may_reach(address, port) for address in found):
            raise Invalid(
                f"{shown(url)} leads to a private address, which sources may not read: use a "
                "public address, or have an admin list this host in ALLOW_PRIVATE_SOURCES."
            )
        return found

    def _may_reach(self, address: str, port: int) -> bool:
        return bool({address, f"{address}:{port}"} & self._allowed) or is_public(address)


def parsed(url: str) -> httpx2.URL:
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL:
        raise Invalid("The url, or one it redirects to, is not a web address.") from None


async def resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        if getattr(error, "errno", None) == socket.EAI_AGAIN:
            raise Stumbled("could not be found just now: the name server does not answer") from None
        raise Invalid(f"There is no host named {host!r}: check the url.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Globally routable, also where an IPv4 address is wrapped in an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour or ip.scope_id or ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def refuse_status(url: httpx2.URL, response: httpx2.Response) -> None:
    status = response.status_code
    if status in PASSING or status >= 500:
        raise Stumbled(f"answered {status}", retry_after(response.headers.get("retry-after")))
    if not 200 <= status < 300:
        remedies = {401: "check auth", 403: "check auth", 404: "check the url", 410: "it is gone"}
        remedy = remedies.get(status, "check url, params and headers")
        raise Invalid(f"{shown(url)} answered {status} {response.reason_phrase}: {remedy}.")


async def bounded(url: httpx2.URL, response: httpx2.Response) -> bytes:
    """The body, unpacked, while it stays below the limit."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise Invalid(
                    f"{shown(url)} answers more than {MOST_BYTES >> 20} MB at once: "
                    "ask for smaller pages (pagination)."
                )
    except httpx2.DecodingError:
        raise Stumbled("answered something that cannot be unpacked") from None
    return bytes(body)


def retry_after(header: str | None) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3); None if it is neither."""
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        due = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = due if due.tzinfo else due.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def pause(attempt: int, trouble: Exception) -> float:
    """What the server asked for, at least half a second; else full jitter, ever wider."""
    if isinstance(trouble, Stumbled) and trouble.wait is not None:
        return max(trouble.wait, LEAST_WAIT)
    return random.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** (attempt - 1)))


def words_of(trouble: Exception) -> str:
    if isinstance(trouble, Stumbled):
        return str(trouble)
    if isinstance(trouble, (TimeoutError, httpx2.TimeoutException)):
        return "did not answer in time"
    return f"could not be reached ({type(trouble).__name__})"


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or PORTS.get(url.scheme)


def shown(url: httpx2.URL) -> str:
    """An address for messages: never its query, which may hold a key."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{url.host}{port}{url.path}"
