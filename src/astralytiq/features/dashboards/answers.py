"""What data sets answer to widgets. Versions never change, so an answer is kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import AppError, Fault, Invalid
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import Storage
from astralytiq.engines.tabular import query
from astralytiq.engines.tabular.query import BadQuery
from astralytiq.features.datasets import service as datasets
from astralytiq.features.datasets.models import DatasetVersion

from .schemas import GroupQuery, RowsQuery

MOST = 512  # answers of at most 1,000 rows
Question = RowsQuery | GroupQuery
Rows = list[dict[str, Any]]
Key = tuple[int, str]


class Answers:
    """The answers that were asked for last."""

    def __init__(self) -> None:
        self.known: OrderedDict[Key, Rows] = OrderedDict()

    def get(self, key: Key) -> Rows | None:
        found = self.known.get(key)
        if found is not None:
            self.known.move_to_end(key)
        return found

    def put(self, key: Key, rows: Rows) -> None:
        self.known[key] = rows
        while len(self.known) > MOST:
            self.known.popitem(last=False)

    async def close(self) -> None:
        self.known.clear()


async def answer(
    resources: Resources, session: AsyncSession, actor: Actor, asked: Question
) -> dict[str, Any]:
    """Its rows, and the version that they are of."""
    actor.require("datasets:read")
    version = await datasets.get_version(session, asked.dataset_id, asked.version)
    known = resources.own("dashboards.answers", lambda _: Answers())
    key = (version.id, asked.model_dump_json())
    rows = known.get(key)
    if rows is None:
        rows = await asyncio.to_thread(run, resources.storage, version, asked.question())
        known.put(key, rows)
    return {"rows": rows, "dataset": version.reference}


def run(storage: Storage, version: DatasetVersion, question: query.Query) -> Rows:
    with storage.local(version.storage_key, version.content_hash) as path:
        try:
            return query.run(path, question)
        except BadQuery as fault:  # The newest version may have other columns than the one before.
            raise Invalid(f"The data set {version.reference}: {fault}") from None


async def faults_of(
    resources: Resources, session: AsyncSession, asked: Question, loc: Sequence[str | int]
) -> list[Fault]:
    """What is wrong with a question before anybody asks it."""
    try:
        version = await datasets.get_version(session, asked.dataset_id, asked.version)
    except AppError as refusal:
        return [Fault((*loc, "dataset_id"), refusal.detail)]
    words = await asyncio.to_thread(check, resources.storage, version, asked.question())
    return [Fault(tuple(loc), one) for one in words]


def check(storage: Storage, version: DatasetVersion, question: query.Query) -> list[str]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - 0.3 s that only a query of a table needs

    with storage.local(version.storage_key) as path:
        return query.faults_of(pq.read_schema(path), question)
