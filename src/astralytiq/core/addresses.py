"""Web addresses: what is one, what it leads to, and how it is shown."""

import ipaddress
from urllib.parse import urljoin

import httpx2

from astralytiq.core.errors import Invalid

PORTS = {"http": 80, "https": 443}
LAST_PORT = 65_535


def parsed(url: str) -> httpx2.URL:
    try:
        found = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise no_address() from None
    if (found.port or 0) > LAST_PORT:
        raise no_address()
    return found


def no_address() -> Invalid:
    return Invalid("The url, or one it redirects to, is not a web address.")


def joined(url: httpx2.URL, location: str) -> httpx2.URL:
    try:
        return parsed(urljoin(str(url), location))
    except ValueError:
        raise no_address() from None


def is_public(address: str) -> bool:
    """Globally routable, also where an IPv4 address is wrapped in an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip.sixtofour or ip.scope_id or ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or PORTS.get(url.scheme)


def host_of(url: httpx2.URL) -> str:
    return f"{url.host.lower()}:{url.port or PORTS.get(url.scheme)}"


def shown(url: httpx2.URL) -> str:
    """An address for messages: never its query, which may hold a key."""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{bracketed(url.host)}{port}{url.path}"


def bracketed(host: str) -> str:
    """An IPv6 address as it stands in a web address."""
    return f"[{host}]" if ":" in host else host


def spellings(host: str, port: int) -> set[str]:
    """How an admin may write it in a list of hosts: with or without the port."""
    return {host, f"{host}:{port}", bracketed(host), f"{bracketed(host)}:{port}"}
