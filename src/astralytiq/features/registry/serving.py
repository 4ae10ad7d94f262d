"""Which version answers for a model, kept in memory: the answer to a prediction asks no table.

A change of stage forgets it here after its commit and before its own answer is sent, so that
whoever promoted a version is answered by it; other processes hear of it through the outbox.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakSet

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit, broadcast
from astralytiq.core.broadcast import Broadcast
from astralytiq.core.db import after_commit
from astralytiq.core.direct import Statement
from astralytiq.core.errors import Conflict, NotFound
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import Damaged

from .external import refuse_external
from .models import ModelVersion, Stage
from .service import get, get_version

TOPIC = "models/"
Key = tuple[str, int | None]  # a model's name, and the version asked for


@dataclass(frozen=True, slots=True)
class Served:
    """What answering takes of a version."""

    version_id: int
    model: str
    number: int
    algorithm: str
    features: list[dict[str, str]]  # the signature: [{name, type}]
    classes: list[Any]
    storage_key: str
    sha256: str

    @classmethod
    def of(cls, model: str, version: ModelVersion) -> Self:
        names = ("number", "algorithm", "features", "classes", "storage_key", "sha256")
        return cls(version.id, model, **{name: getattr(version, name) for name in names})


class Serving:
    """The versions asked for since the last change."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._known: dict[Key, Served] = {}
        self._forgotten = 0
        everywhere.add(self)

    async def version(self, model: str, number: int | None) -> Served:
        """The version asked for, else the one in production; raises what names the remedy."""
        if known := self._known.get((model, number)):
            return known
        mark = self._forgotten
        async with self._database.reading() as session:
            found = Served.of(model, await serving_version(session, model, number))
        if mark == self._forgotten:  # Nothing was promoted while we looked.
            self._known[model, number] = found
        return found

    def forget(self, model: str) -> None:
        self._forgotten += 1
        self._known = {key: found for key, found in self._known.items() if key[0] != model}

    async def close(self) -> None:
        self._known = {}


everywhere: WeakSet[Serving] = WeakSet()


def serving(resources: Resources) -> Serving:
    return resources.own("registry.serving", Serving)


def changed(session: AsyncSession, model: str) -> None:
    """After the commit every process asks the registry again which version answers."""
    after_commit(session, lambda: forget(model))
    broadcast.publish(session, f"{TOPIC}{model}", {"model": model})


def forget(model: str) -> None:
    for one in list(everywhere):
        one.forget(model)


async def follow_changes(live: Broadcast) -> None:
    """Runs beside the API: hears of changes in other processes."""
    async with live.listen(TOPIC) as queue:
        while True:
            message = await queue.get()
            forget(message.payload["model"])


async def serving_version(
    session: AsyncSession, name: str, number: int | None = None
) -> ModelVersion:
    """The version asked for, else the one in production."""
    model = await get(session, name)
    if number is not None:
        asked = await get_version(session, model, number)
        refuse_external(name, asked)
        return asked
    query = select(ModelVersion).filter_by(model_id=model.id, stage=Stage.production)
    if found := await session.scalar(query):
        return found
    raise Conflict(
        f"No version of {name!r} is in production: promote one with POST /api/v1/models/{name}/"
        f'versions/{model.latest}/stage and {{"stage": "production"}}, or name a version: '
        f"POST /api/v1/models/{name}/versions/{model.latest}/predict."
    )


def counted(version_id: int, requests: int, milliseconds: float) -> Statement:
    """Counters only: neither the model's row version nor its ETag changes."""
    return Statement(
        "UPDATE model_versions SET served_count = served_count + ?, served_ms = served_ms + ? "
        "WHERE id = ?",
        (requests, milliseconds, version_id),
    )


async def open_file(resources: Resources, actor: Actor, version: Served) -> bytes:
    """The model file, once its hash is checked; a file that differs is never loaded."""
    content = await asyncio.to_thread(checked, resources, version)
    if content is not None:
        return content
    resource = f"model_version/{version.version_id}"

    async def note(session: AsyncSession) -> None:
        audit.record(
            session,
            actor,
            "model.file_refused",
            resource,
            outcome="refused",
            key=version.storage_key,
        )

    await resources.database.write(note)
    raise Conflict(
        "The file of this model version is missing or damaged (its SHA-256 differs), so it is not "
        "loaded: restore it from a backup, or train the version again."
    )


def checked(resources: Resources, version: Served) -> bytes | None:
    try:
        return resources.storage.get(version.storage_key, version.sha256)
    except (NotFound, Damaged):
        return None
