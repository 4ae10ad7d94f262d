"""The door for files that a source is to read."""

from typing import Annotated

from fastapi import File, UploadFile

from astralytiq.core.web import House, charged_to
from astralytiq.features.ingestion import uploads
from astralytiq.features.ingestion.uploads import Uploaded

from .sources import SourceWriter, sources

FileSent = Annotated[UploadFile, File(description="CSV as the source says, packed or not")]


@sources.put("/{name}/file")
@charged_to("expensive")
async def upload_file(house: House, actor: SourceWriter, name: str, file: FileSent) -> Uploaded:
    """Put a file, or a new one in its place, where a source of path `uploads/NAME/…` reads it."""
    return await uploads.keep(house, actor, name, file.file, file.filename)
