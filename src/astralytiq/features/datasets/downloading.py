"""A version's file on its way out, piece by piece, wherever it is kept."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import format_datetime
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from astralytiq.core.storage import Storage
from astralytiq.core.streams import HeldStream

from . import tables
from .models import DatasetVersion
from .schemas import FileFormat

PARQUET = "application/vnd.apache.parquet"
MEDIA_TYPES = {
    FileFormat.csv: "text/csv; charset=utf-8",
    FileFormat.parquet: PARQUET,
    FileFormat.jsonl: "application/x-ndjson",
}


class HeldFile(FileResponse):
    """Lets go of the file once it was sent."""

    def __init__(self, held: ExitStack, path: Path, **more: Any) -> None:
        super().__init__(path, **more)
        self.held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.to_thread(self.held.close)


async def answer(
    request: Request,
    storage: Storage,
    version: DatasetVersion,
    form: FileFormat,
    filename: str,
) -> Response:
    """Range is answered of Parquet. What is far away is sent as it comes, if all of it is asked."""
    tag = version.content_hash if form is FileFormat.parquet else f"{version.content_hash}-{form}"
    headers = {"ETag": f'"{tag}"', "Content-Disposition": attachment(filename)}
    media = MEDIA_TYPES[form]
    if form is not FileFormat.parquet:
        held, path = await asyncio.to_thread(hold, storage, version)
        content = tables.EXPORTS[form](path)
        return HeldStream(held, content, media_type=media, headers=headers)
    headers["Last-Modified"] = format_datetime(version.created_at, usegmt=True)
    if "range" not in request.headers and not storage.is_near(version.storage_key):
        headers |= {"Content-Length": str(version.size_bytes), "Accept-Ranges": "bytes"}
        pieces = await asyncio.to_thread(begun, storage, version)
        return StreamingResponse(pieces, media_type=media, headers=headers)
    held, path = await asyncio.to_thread(hold, storage, version)
    return HeldFile(held, path, media_type=media, headers=headers)


def hold(storage: Storage, version: DatasetVersion) -> tuple[ExitStack, Path]:
    held = ExitStack()
    return held, held.enter_context(tables.file_of(storage, version))


def begun(storage: Storage, version: DatasetVersion) -> Iterator[bytes]:
    """With its first piece: what cannot be read is refused before an answer begins."""
    with tables.worded(version):
        pieces = storage.chunks(version.storage_key)
        first = next(pieces, b"")
    return chain([first], pieces)


def attachment(filename: str) -> str:
    shown = quote(filename)
    return (
        f'attachment; filename="{filename}"'
        if shown == filename
        else f"attachment; filename*=utf-8''{shown}"
    )
