"""How often other servers may be asked: what we set ourselves, and what they say of their limits.

One budget per host, shared by all that one process asks of it. A place is taken before it is
waited for, so that two who wait do not go at the same moment.
"""

import re
import time
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic

LEAST_WAIT = 0.5
LONGEST_CLOSED = 3600.0  # Then we ask once more: one wrong word of a server is not for ever.
MOST_HOSTS = 10_000
MOST_REQUESTS = 1000
MOMENTS_FROM = 1e9  # As a number of seconds to wait this would be 30 years: it is a time.
MILLISECONDS_FROM = 1e11
REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
RESET = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
# `RateLimit: "default";r=0;t=30`, and in earlier drafts `limit=100, remaining=0, reset=30`.
PART = re.compile(r"\b(r|t|remaining|reset)\s*=\s*(\d{1,15})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Pace:
    """At most `requests` within any `per_seconds`."""

    requests: int
    per_seconds: float


@dataclass
class Standing:
    """When the newest requests to a host go or went, and when it lets us ask again."""

    times: list[float] = field(default_factory=list)
    closed_until: float = 0.0


class Budgets:
    """Of every host that this process asks."""

    def __init__(self) -> None:
        self._hosts: dict[str, Standing] = {}

    def take(self, host: str, pace: Pace | None = None, least: float = 0.0) -> float:
        """Take the next place, `least` seconds away or more; answers the seconds to wait for it."""
        standing, at = self._of(host), monotonic() + least
        opens = standing.closed_until
        if pace and len(standing.times) >= pace.requests:
            opens = max(opens, standing.times[-pace.requests] + pace.per_seconds)
        more = max(0.0, opens - at)
        insort(standing.times, at + more)
        del standing.times[:-MOST_REQUESTS]
        return least + more

    def close(self, host: str, seconds: float) -> None:
        """Ask nothing for so long. The host's newest word counts."""
        self._of(host).closed_until = monotonic() + min(seconds, LONGEST_CLOSED)

    def closed_for(self, host: str) -> float:
        return max(0.0, self._of(host).closed_until - monotonic())

    def learn(self, host: str, headers: Mapping[str, str]) -> None:
        """Heed what an answer says of the host's limits."""
        wait = used_up(headers)
        if wait is not None:
            self.close(host, max(wait, LEAST_WAIT))

    def _of(self, host: str) -> Standing:
        if host not in self._hosts and len(self._hosts) >= MOST_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        return self._hosts.setdefault(host, Standing())


SHARED = Budgets()


def used_up(headers: Mapping[str, str]) -> float | None:
    """Seconds until a budget that is used up opens again; None while something is left."""
    waits = [found for found in (from_pair(headers), from_list(headers)) if found is not None]
    return max(waits, default=None)


def from_pair(headers: Mapping[str, str]) -> float | None:
    for remaining, reset in zip(REMAINING, RESET, strict=True):
        if headers.get(remaining, "").strip() == "0":
            return until(headers.get(reset, ""))
    return None


def from_list(headers: Mapping[str, str]) -> float | None:
    """The longest wait of the policies in a RateLimit header of which nothing is left."""
    waits = []
    for policy in split_policies(headers.get("ratelimit", "")):
        parts = {name.lower(): value for name, value in policy}
        left = parts.get("r", parts.get("remaining"))
        if left is not None and int(left) == 0:
            waits.append(float(parts.get("t", parts.get("reset", "0"))))
    return max(waits, default=None)


def split_policies(header: str) -> list[list[tuple[str, str]]]:
    """Policies are set apart by commas; so are the parts of one in the earlier form."""
    policies = [header] if "remaining" in header.lower() else header.split(",")
    return [PART.findall(policy) for policy in policies]


def until(reset: str) -> float:
    """Seconds to wait, from a number of them, a Unix time (in s or ms), or an HTTP date."""
    try:
        number = float(reset)
    except ValueError:
        return until_date(reset) or 0.0
    if number >= MILLISECONDS_FROM:
        number /= 1000
    return number - time.time() if number >= MOMENTS_FROM else number


def until_date(text: str) -> float | None:
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = due if due.tzinfo else due.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def retry_after(header: str | None) -> float | None:
    """Seconds, from either form of the header (RFC 9110, 10.2.3); None if it is neither."""
    if not header:
        return None
    return float(header) if header.strip().isdecimal() else until_date(header)
