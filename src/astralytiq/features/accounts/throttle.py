"""Slows down who guesses passwords: by account and by address, ever longer, never for good.

Only failures count. Three rules, each of moving windows, so that the delay grows with the failures:
of one address at one account, of an account from anywhere, and of an address at any account. The
last two do not hold for an address from which the account signed in before, nor for one that just
used a link sent to its owner: whoever guesses elsewhere cannot lock the owner out (NIST SP 800-63B,
section 5.2.2, names the same way out).
"""

import asyncio
import hashlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.db import utc_now
from astralytiq.core.errors import TooMany
from astralytiq.core.limits import Limits
from astralytiq.core.security import HASHES_AT_ONCE

from .models import User, UserSession

PAIR = "5/minute;10/10 minutes;20/hour"
ACCOUNT = "30/hour;100/day"
ADDRESS = "30/10 minutes;100/hour"
TRUST = "1/hour"
KNOWN_FOR = timedelta(days=90)
IPV6_SITE = 64  # bits: whoever has one IPv6 address has a whole /64 of them


class Throttle:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # As many as are compared at once, no more, can slip past a limit that is just reached.
        self._slots = asyncio.Semaphore(HASHES_AT_ONCE)

    @asynccontextmanager
    async def attempt(self, account: str, address: str, *, known: bool) -> AsyncIterator[None]:
        """Room for one comparison, refused while there were too many failures."""
        async with self._slots:
            if seconds := self.wait(account, address, known=known):
                raise TooMany(
                    f"There were too many failed sign-ins: wait {seconds} s, "
                    "or ask for a link by which to set a new password.",
                    headers={"Retry-After": str(seconds)},
                )
            yield

    def wait(self, account: str, address: str, *, known: bool) -> int:
        seconds = self._limits.wait(PAIR, "pair", account, address)
        if known or self.is_trusted(account, address):
            return seconds
        of_account = self._limits.wait(ACCOUNT, "account", account)
        return max(seconds, of_account, self._limits.wait(ADDRESS, "address", address))

    def failed(self, account: str, address: str) -> None:
        self._limits.count(PAIR, "pair", account, address)
        self._limits.count(ACCOUNT, "account", account)
        self._limits.count(ADDRESS, "address", address)

    def trust(self, account: str, address: str) -> None:
        """Its owner was just there, with a link that was sent to them."""
        self._limits.count(TRUST, "trusted", account, address)

    def is_trusted(self, account: str, address: str) -> bool:
        return self._limits.wait(TRUST, "trusted", account, address) > 0


def account_key(user: User | None, given: str) -> str:
    """One account has one key, whether its email or its username was given."""
    if user:
        return str(user.id)
    return hashlib.sha256(given.strip().lower().encode()).hexdigest()  # Some type a password here.


def address_key(address: str | None) -> str:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if parsed.version == 4 or parsed.is_loopback:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, IPV6_SITE), strict=False))


async def knows(session: AsyncSession, user: User | None, address: str | None) -> bool:
    """Whether this account signed in from there before."""
    if user is None or address is None:
        return False
    since = utc_now() - KNOWN_FOR
    query = select(
        exists().where(
            UserSession.user_id == user.id,
            UserSession.address == address,
            UserSession.created_at > since,
        )
    )
    return bool(await session.scalar(query))
