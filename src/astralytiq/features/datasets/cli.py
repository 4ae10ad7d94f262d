"""Commands for data sets."""

from pathlib import Path
from typing import Annotated

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    connected,
    examples,
    fail,
    follow,
    group,
    show,
    show_one,
)

app = group("dataset", "Data sets: named tables in immutable versions.")

# Large files are converted before the answer comes.
UPLOAD_SECONDS = 3600
COLUMNS = ("id", "name", "type", "version", "rows", "columns", "size_mb", "status", "updated_at")


@app.command("list")
@examples("astralytiq dataset list")
def list_datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the data sets."""
    with connected(context) as client:
        show(client.get("/datasets"), COLUMNS, as_json=as_json)


@app.command("show")
def show_dataset(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """Show one data set."""
    with connected(context) as client:
        show_one(client.get(f"/datasets/{dataset_id}"), as_json=as_json)


@app.command("versions")
def list_versions(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """List the versions of a data set, and where each came from."""
    columns = ("reference", "rows", "columns", "size_bytes", "content_hash", "origin")
    with connected(context) as client:
        show(client.get(f"/datasets/{dataset_id}/versions"), columns, as_json=as_json)


@app.command("freeze")
@examples("astralytiq dataset freeze readings --source meters")
def freeze_dataset(
    context: typer.Context,
    name: str,
    source: Annotated[str, typer.Option(help="The source whose records it holds.")],
    as_json: AsJson = False,
) -> None:
    """Freeze a source's records as the first version of a new data set."""
    with connected(context) as client:
        made = client.post("/datasets", json={"name": name, "from_records": {"source": source}})
        follow(client, made["job_id"], f"freezing {name}")
        show_one(client.get(f"/datasets/{made['id']}"), as_json=as_json)


@app.command("refreeze")
@examples("astralytiq dataset refreeze 7")
def refreeze_dataset(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """Freeze the source's records of today as the next version."""
    with connected(context) as client:
        asked = client.post(f"/datasets/{dataset_id}/versions")
        follow(client, asked["job_id"], "freezing")
        show_one(client.get(f"/datasets/{dataset_id}"), as_json=as_json)


@app.command("remove")
@examples("astralytiq dataset remove 7")
def remove_dataset(context: typer.Context, dataset_id: int) -> None:
    """Remove a data set from the lists; what was made from it can still be traced."""
    with connected(context) as client:
        client.delete(f"/datasets/{dataset_id}")
        typer.echo(f"removed data set {dataset_id}")


@app.command("upload")
@examples("""
astralytiq dataset upload readings.csv --name readings
astralytiq dataset upload readings-may.parquet --to 7
""")
def upload_dataset(
    context: typer.Context,
    file: Path,
    name: Annotated[str, typer.Option(help="default: the file's name")] = "",
    to: Annotated[int, typer.Option(help="make it the next version of this data set")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a data set, or the next version of one, of a CSV, JSON Lines, Parquet or XLSX file."""
    if not file.is_file():
        fail(f"{file} is no file.", BAD_INPUT)
    if name and to:
        fail("Give --name for a new data set or --to for a version of one, not both.", BAD_INPUT)
    path = f"/datasets/{to}/versions/upload" if to else "/datasets/upload"
    with connected(context) as client, file.open("rb") as content:
        options = {"files": {"file": (file.name, content)}, "data": {"name": name} if name else {}}
        made = client.post(path, timeout=UPLOAD_SECONDS, **options)
        show_one(client.get(f"/datasets/{to or made['id']}"), as_json=as_json)


@app.command("preview")
def preview_dataset(
    context: typer.Context, dataset_id: int, limit: int = 10, as_json: AsJson = False
) -> None:
    """Show the first rows of the newest version."""
    with connected(context) as client:
        page = client.get(f"/datasets/{dataset_id}/preview", params={"limit": limit})
        show(page["rows"], [column["name"] for column in page["columns"]], as_json=as_json)
