"""Uploads that come again with their Idempotency-Key: answered by what the first of them made.

An upload is converted outside of any transaction, so the request itself holds none in which its
answer could be kept. The file is told from others by its hash: it is never in memory as a whole.
"""

import asyncio
import hashlib
from typing import BinaryIO, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import idempotency
from astralytiq.core.errors import NotFound
from astralytiq.core.idempotency import KeptAnswer
from astralytiq.core.security import Actor

from .models import Dataset, DatasetVersion

Made = tuple[Dataset, DatasetVersion]
CREATED = 201
CHUNK = 1 << 20


class Upload:
    """One upload; without a key nothing is looked for, and nothing kept."""

    def __init__(self, actor: Actor, door: str, key: str | None, body: bytes) -> None:
        self.key = key
        self._fields = (actor.identity, f"POST datasets/{door}", key or "", body)
        self._row = 0

    @classmethod
    async def of(
        cls, actor: Actor, door: str, key: str | None, file: BinaryIO, *told: str | None
    ) -> Self:
        """`told`: what was said of the file, which makes it another upload."""
        hashed = await asyncio.to_thread(digest, file) if key is not None else ""
        return cls(actor, door, key, msgspec.json.encode([hashed, *told]))

    async def found(self, session: AsyncSession) -> Made | None:
        """A look before the work, which a second request is spared."""
        if self.key is None:
            return None
        return await made_by(session, await idempotency.find(session, *self._fields))

    async def begin(self, session: AsyncSession) -> Made | None:
        """In the transaction that stores it: a second request waits here for the first."""
        if self.key is None:
            return None
        self._row, answer = await idempotency.recall(session, *self._fields)
        return await made_by(session, answer)

    async def end(self, session: AsyncSession, made: Made) -> Made:
        if self.key is not None:
            ids = msgspec.json.encode([one.id for one in made])
            await idempotency.remember(session, self._row, KeptAnswer(CREATED, {}, ids))
        return made


def digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()


async def made_by(session: AsyncSession, answer: KeptAnswer | None) -> Made | None:
    if answer is None:
        return None
    dataset_id, version_id = msgspec.json.decode(answer.body, type=tuple[int, int])
    dataset = await session.get_one(Dataset, dataset_id)
    if dataset.deleted_at is not None:
        raise NotFound(
            "The data set that the first request with this Idempotency-Key made has been deleted "
            "since: use a new key."
        )
    return dataset, await session.get_one(DatasetVersion, version_id)
