"""Verified credentials, kept until they expire or are revoked.

A signed request costs 41 µs for the token and a database read for the account, once: then its
actor is found by the credential's hash. What revokes a credential forgets it here before its own
answer is sent, and tells other processes through the outbox.
"""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import broadcast
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.db import after_commit
from astralytiq.core.security import Actor

from .schemas import UserRead

MOST = 10_000
TOPIC = "credentials/"


@dataclass(frozen=True)
class Verified:
    """Who a credential belongs to. `session_id` binds CSRF tokens to the sign-in.

    `user` is what the account's owner is shown of it, and `version` the row's: every change of an
    account revokes its credentials here, so that neither outlives it.
    """

    actor: Actor
    session_id: str | None
    expires: float  # of time.time()
    user: UserRead
    version: int


class Cache:
    """The credentials used last, by hash: the secrets themselves are not kept in memory."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Verified] = OrderedDict()
        self._forgotten = 0  # Counts revocations: see `put`.

    @staticmethod
    def key(credential: str) -> bytes:
        return hashlib.sha256(credential.encode()).digest()

    @property
    def mark(self) -> int:
        """Take it before reading the database, and hand it to `put`."""
        return self._forgotten

    def get(self, credential: str) -> Verified | None:
        key = self.key(credential)
        found = self._known.get(key)
        if found is None:
            return None
        if found.expires <= time.time():
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return found

    def put(self, credential: str, verified: Verified, mark: int) -> None:
        """Keep it, unless something was revoked while it was being verified."""
        if mark != self._forgotten:
            return
        self._known[self.key(credential)] = verified
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def forget(self, user_id: int) -> None:
        """Drop all of an account's credentials: those that are still good are verified again."""
        self._forgotten += 1
        gone = [key for key, known in self._known.items() if known.actor.id == user_id]
        for key in gone:
            del self._known[key]


cache = Cache()


def revoke(session: AsyncSession, user_id: int) -> None:
    """After the commit no process takes the account's credentials without asking the database."""
    after_commit(session, lambda: cache.forget(user_id))
    broadcast.publish(session, f"{TOPIC}{user_id}", {"user_id": user_id})


async def follow_revocations(live: Broadcast) -> None:
    """Runs beside the API: hears of revocations in other processes."""
    async with live.listen(TOPIC) as queue:
        while True:
            message = await queue.get()
            cache.forget(message.payload["user_id"])
