"""The files behind versions: written from an upload or from records, and read with their hash."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlalchemy.ext.asyncio import AsyncSession

from astralytiq.core.errors import (
    AppError,
    Conflict,
    Invalid,
    NotFound,
    TooLarge,
    UnsupportedMedia,
)
from astralytiq.core.executor import Work
from astralytiq.core.storage import CHUNK, Damaged, Storage, Stored, writing_aside
from astralytiq.engines.tabular import export, formats, parquet
from astralytiq.engines.tabular.columns import BadTable, Column, OtherKind, TooMuch
from astralytiq.engines.tabular.records import Discovery, Row, to_table
from astralytiq.features.ingestion import reading
from astralytiq.features.ingestion.searching import Filters

from .models import DatasetVersion
from .schemas import FileFormat

if TYPE_CHECKING:
    import pyarrow as pa

EXPORTS = {FileFormat.csv: export.csv, FileFormat.jsonl: export.jsonl}
BATCH = 5_000
RECORD_ID = "_record_id"
FIELDS = (
    RECORD_ID, "title", "description", "content", "author", "published_at", "url", "category",
)  # fmt: skip
READ = (*FIELDS[1:], "extra")


@dataclass(frozen=True)
class Written:
    """A Parquet file that no version names yet."""

    stored: Stored
    rows: int
    columns: list[Column]

    @property
    def schema(self) -> list[dict[str, str]]:
        return [asdict(column) for column in self.columns]


@dataclass(frozen=True)
class Frozen:
    """What records became, and the runs that brought them, oldest first."""

    written: Written
    run_ids: list[str]


@dataclass(frozen=True)
class Sent:
    """A file that somebody sent: what it became, which kind it was, and itself."""

    written: Written
    format: formats.Format
    original: Stored


# From an upload ---------------------------------------------------------------------------------


def keep_upload(storage: Storage, upload: BinaryIO, key: str) -> Stored:
    """The file as it came: text that becomes numbers cannot be had back from them."""
    upload.seek(0)
    with storage.writing(key) as file:
        shutil.copyfileobj(upload, file, CHUNK)
    return storage.describe(key)


def from_upload(storage: Storage, source: Stored, filename: str, key: str, most: int) -> Sent:
    """Blocks for as long as the conversion takes: call from a thread."""
    try:
        with storage.local(source.key) as path:
            kind = formats.told(path, filename)
            with storage.writing(key) as file:
                rows, columns = formats.to_parquet(kind, path, file, most)
    except BadTable as error:
        storage.delete(source.key)
        raise refusal(error) from None
    return Sent(Written(storage.describe(key), rows, columns), kind, source)


def refusal(error: BadTable) -> AppError:
    kinds = {TooMuch: TooLarge, OtherKind: UnsupportedMedia}
    return kinds.get(type(error), Invalid)(str(error))


# From records -----------------------------------------------------------------------------------


async def from_records(work: Work, session: AsyncSession, filters: Filters, key: str) -> Frozen:
    """Two passes over one view of the database: learn the columns, then write them."""
    await hold_view(session)
    found, run_ids = Discovery(), set[str]()
    async for records in reading.batches(session, filters, (*READ, "run_id"), BATCH):
        await asyncio.to_thread(see, found, records)
        run_ids.update(record.run_id for record in records)
        work.report(0.1, "reading", f"{found.rows} records")
    if not found.rows:
        raise Invalid(nothing(filters))
    columns = found.columns(FIELDS, frozenset({RECORD_ID}))
    storage = work.resources.storage
    async with writing_aside(storage, key) as file:
        with parquet.ParquetWriter(file, columns) as writer:
            async for records in reading.batches(session, filters, READ, BATCH):
                await asyncio.to_thread(write, writer, records, columns)
                work.report(0.1 + 0.8 * writer.rows / found.rows, "writing", f"{writer.rows} rows")
    stored = await asyncio.to_thread(storage.describe, key)
    # Runs' ids are in the order of their making.
    return Frozen(Written(stored, writer.rows, columns), sorted(run_ids))


def nothing(filters: Filters) -> str:
    if filters == Filters(source=filters.source):
        return f"The source {filters.source!r} has no records: run it first, then try again."
    return "No record matches the query: see what GET /api/v1/data answers to it."


async def hold_view(session: AsyncSession) -> None:
    """Both passes must see the same records. SQLite's transactions are such views by nature."""
    if session.get_bind().dialect.name == "postgresql":
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def see(found: Discovery, records: Sequence[Any]) -> None:
    found.see([row_of(record) for record in records])


def write(writer: parquet.ParquetWriter, records: Sequence[Any], columns: list[Column]) -> None:
    writer.add(to_table([row_of(record) for record in records], columns))


def row_of(record: Any) -> Row:
    """`_record_id` leads back to the record; a key that is also a field's name gets a prefix."""
    row: dict[str, Any] = {name: getattr(record, name) for name in FIELDS[1:]}
    row[RECORD_ID] = record.id
    for key, value in record.extra.items():
        row[f"metadata.{key}" if key in FIELDS else key] = value
    return row


# Reading ----------------------------------------------------------------------------------------


@contextmanager
def file_of(storage: Storage, version: DatasetVersion, sha256: str = "") -> Iterator[Path]:
    """The version's file, which stays on this machine while the context is open."""
    with ExitStack() as held:
        with worded(version):
            path = held.enter_context(storage.local(version.storage_key, sha256))
        yield path


@contextmanager
def worded(version: DatasetVersion) -> Iterator[None]:
    """What is wrong with its file, by the name that people know."""
    try:
        yield
    except NotFound:
        raise Conflict(
            f"The file of {version.reference} is missing: restore it from a backup."
        ) from None
    except Damaged:
        raise Conflict(
            f"The file of the data set {version.reference} is damaged (its SHA-256 differs): "
            "restore it from a backup."
        ) from None


def refuse_missing(storage: Storage, version: DatasetVersion) -> None:
    with file_of(storage, version):
        return


def whole(storage: Storage, version: DatasetVersion) -> AbstractContextManager[Path]:
    """Refuses a file that is not the one the version was made with."""
    return file_of(storage, version, version.content_hash)


def read(storage: Storage, version: DatasetVersion, names: Sequence[str] | None) -> "pa.Table":
    with whole(storage, version) as path:
        return parquet.read_table(path, names)
