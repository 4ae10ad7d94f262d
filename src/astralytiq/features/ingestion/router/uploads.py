"""The door for files that a source is to read."""

from typing import Annotated

from fastapi import File, Header, UploadFile

from astralytiq.core.web import House, charged_to
from astralytiq.features.ingestion import uploads
from astralytiq.features.ingestion.uploads import Uploaded

from .sources import SourceWriter, sources

IdempotencyKey = Annotated[
    str | None,
    Header(description="for 24 hours the same key gets the first answer again, and no file is put"),
]
FileSent = Annotated[UploadFile, File(description="CSV as the source says, packed or not")]


@sources.put("/{name}/file")
@charged_to("expensive")
async def upload_file(
    house: House,
    actor: SourceWriter,
    name: str,
    file: FileSent,
    idempotency_key: IdempotencyKey = None,
) -> Uploaded:
    """Put a file, or a new one in its place, where a source of path `uploads/NAME/…` reads it."""
    return await uploads.keep(house, actor, name, file.file, file.filename, idempotency_key)
