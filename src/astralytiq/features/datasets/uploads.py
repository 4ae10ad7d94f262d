"""Data sets and versions from files that people send: converted outside of any transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core import audit
from astralytiq.core.db import new_id
from astralytiq.core.errors import AppError
from astralytiq.core.resources import Resources
from astralytiq.core.security import Actor
from astralytiq.core.storage import discard
from astralytiq.engines.tabular import formats, parquet
from astralytiq.engines.tabular.columns import OtherKind

from . import measuring, service, tables
from .models import Dataset, DatasetType, DatasetVersion
from .repeating import Made, Upload
from .schemas import DateRangeRead, UploadedDataRead
from .tables import Sent

LONGEST_NAME = 200
PREVIEW_ROWS = 5
FREE_NAME_TRIES = 10


async def upload(
    resources: Resources,
    actor: Actor,
    file: BinaryIO,
    filename: str | None,
    name: str | None,
    key: str | None = None,
) -> Made:
    """A new set from a file; with a `key` that came before, the set that was made then."""
    owner, label = actor.account_id, plain_name(filename)
    asked = await Upload.of(actor, "upload", key, file, label, name)
    async with resources.database.reading() as session:
        if before := await asked.found(session):
            return before
        if name:
            await service.refuse_taken(session, actor, name)
    sent = await received(resources, file, label)
    measured = await measured_at_once(resources, sent, measuring.NONE)

    async def store(session: AsyncSession) -> Made:
        if before := await asked.begin(session):
            return before
        chosen = name or await free_name(session, owner, PurePosixPath(label).stem)
        kind = DatasetType(sent.format.value)
        dataset = Dataset(name=chosen, type=kind, owner_id=owner, current=0)
        session.add(dataset)
        await session.flush()  # The version needs the new id.
        audit.record(session, actor, "dataset.created", f"dataset/{dataset.id}", filename=label)
        made = dataset, await add(session, actor, dataset, sent, label, measured)
        return await asked.end(session, made)

    async with kept_if_stored(resources, sent):
        made = await stored(resources, store, tries=1 if name else FREE_NAME_TRIES)
    return await without_double(resources, sent, made)


async def upload_version(
    resources: Resources,
    actor: Actor,
    dataset_id: int,
    file: BinaryIO,
    filename: str | None,
    key: str | None = None,
) -> Made:
    """The next version of a set that is there; with a `key` that came before, that of then."""
    label = plain_name(filename)
    asked = await Upload.of(actor, f"{dataset_id}/versions", key, file, label)
    async with resources.database.reading() as session:
        if before := await asked.found(session):
            return before
    sent = await received(resources, file, label)
    async with resources.database.reading() as session:
        demands = await measuring.demands_of(session, dataset_id)
    measured = await measured_at_once(resources, sent, demands)

    async def store(session: AsyncSession) -> Made:
        dataset = await service.get_own(session, actor, dataset_id)  # Meanwhile it may have gone.
        if before := await asked.begin(session):
            return before
        made = dataset, await add(session, actor, dataset, sent, label, measured)
        return await asked.end(session, made)

    async with kept_if_stored(resources, sent):
        made = await resources.database.write(store)
    return await without_double(resources, sent, made)


async def without_double(resources: Resources, sent: Sent, made: Made) -> Made:
    """Two requests with one key were under way at once: the files of the second are nobody's."""
    if made[1].storage_key != sent.written.stored.key:
        await discard(resources.storage, sent.original.key, sent.written.stored.key)
    return made


async def received(resources: Resources, file: BinaryIO, label: str) -> Sent:
    """Stored as it came and as a table, which no version names yet."""
    storage, key = resources.storage, f"datasets/{new_id()}"
    original = await asyncio.to_thread(tables.keep_upload, storage, file, original_key(key, label))
    most = resources.settings.unpacked_limit_mb << 20
    return await asyncio.to_thread(
        tables.from_upload, storage, original, label, f"{key}.parquet", most
    )


def original_key(key: str, label: str) -> str:
    """Beside the table, with the suffix it came with (which is one that we know)."""
    suffix = PurePosixPath(label).suffix.lower() or ".csv"
    return f"{key}.sent{suffix}" if suffix == ".parquet" else f"{key}{suffix}"


async def measured_at_once(
    resources: Resources, sent: Sent, demands: measuring.Demands
) -> measuring.Measured | None:
    return await asyncio.to_thread(measuring.at_once, resources.storage, sent.written, demands)


async def add(
    session: AsyncSession,
    actor: Actor,
    dataset: Dataset,
    sent: Sent,
    label: str,
    measured: measuring.Measured | None,
) -> DatasetVersion:
    origin: dict[str, Any] = {
        "kind": "upload",
        "filename": label,
        "format": sent.format.value,
        "size": sent.original.size,
        "sha256": sent.original.sha256,
    }
    version = await service.add_version(session, actor, dataset.id, sent.written, origin)
    await measuring.settle(session, actor, dataset, version, measured)
    return version


@asynccontextmanager
async def kept_if_stored(resources: Resources, sent: Sent) -> AsyncIterator[None]:
    try:
        yield
    except (AppError, IntegrityError):  # After any other failure it may be stored all the same.
        await discard(resources.storage, sent.original.key, sent.written.stored.key)
        raise


async def stored(
    resources: Resources, store: Callable[[AsyncSession], Awaitable[Made]], tries: int
) -> Made:
    """Another upload may take the free name first: then look for the next one."""
    try:
        return await resources.database.write(store)
    except IntegrityError:
        if tries == 1:
            raise
    return await stored(resources, store, tries - 1)


def plain_name(filename: str | None) -> str:
    """What a browser calls the file: a name to show, never a path to follow."""
    bare = (filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(letter for letter in bare if letter.isprintable()).strip(" .")
    label = shown[-LONGEST_NAME:] or "upload"
    try:
        formats.by_name(label)
    except OtherKind as error:
        raise tables.refusal(error) from None
    return label


async def free_name(session: AsyncSession, owner_id: int, wanted: str) -> str:
    """Existing clients upload the same file again and again: "iris", then "iris (2)"."""
    query = select(Dataset.name).where(Dataset.owner_id == owner_id, Dataset.deleted_at.is_(None))
    alike = Dataset.name.startswith(wanted, autoescape=True)
    taken = set(await session.scalars(query.where(alike)))
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted} ({number})"
    return name


async def summary(
    resources: Resources, dataset: Dataset, version: DatasetVersion
) -> UploadedDataRead:
    head, dates = await asyncio.to_thread(looked_at, resources, version)
    return UploadedDataRead(
        filename=version.origin["filename"],
        shape=(version.rows, version.columns),
        columns=[column["name"] for column in version.schema],
        dtypes={column["name"]: column["type"] for column in version.schema},
        preview=head,
        dataset_id=dataset.id,
        rows=version.rows,
        date_range=DateRangeRead(**asdict(dates)) if dates else None,
        message=f"Stored as the data set {dataset.name!r}, version {version.reference}.",
    )


def looked_at(
    resources: Resources, version: DatasetVersion
) -> tuple[list[dict[str, Any]], parquet.DateRange | None]:
    with tables.file_of(resources.storage, version) as path:
        return parquet.read_head(path, PREVIEW_ROWS), parquet.date_range(path)
