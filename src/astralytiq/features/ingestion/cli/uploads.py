"""The command that sends a source its file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from astralytiq.terminal import BAD_INPUT, AsJson, connected, examples, fail, show_one

from .sources import source


@source.command("upload")
@examples(
    """
    astralytiq source upload meters.csv
    astralytiq source upload may.csv --source meters --key id
    """
)
def upload_file(
    context: typer.Context,
    file: Path,
    name: Annotated[
        str, typer.Option("--source", help="Whose file it is; default: the file's name.")
    ] = "",
    key: Annotated[
        list[str] | None, typer.Option(help="A field of the primary key of a new source.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a CSV file for a source to read.

    Registers the source if it is new.
    """
    from astralytiq.client import ClientError  # noqa: PLC0415 - a heavy one, --help is quick

    if not file.is_file():
        fail(f"There is no file {file}.", BAD_INPUT)
    chosen = name or file.name.split(".")[0].lower()
    with connected(context) as client, file.open("rb") as content:
        try:
            client.get(f"/sources/{chosen}")
        except ClientError as refusal:
            if refusal.status != 404:
                raise
            client.post("/sources", json=new_source(chosen, file, key or []))
        files = {"file": (file.name, content, "text/csv")}
        show_one(client.put(f"/sources/{chosen}/file", files=files), as_json=as_json)


def new_source(name: str, file: Path, key: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name, "kind": "csv", "path": f"uploads/{name}/{file.name}"}
    return body | ({"primary_key": key[0] if len(key) == 1 else key} if key else {})
