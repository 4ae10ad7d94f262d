"""Commands for sources, their runs, and the records they brought."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from astralytiq.client import Client

source = group("source", "Sources: where records come from.")
etl = group("etl", "Ingestion runs and what they rejected.")
data = group("data", "The normalised records.")

SOURCE_COLUMNS = ("name", "kind", "enabled", "batch_size", "updated_at")
RUN_COLUMNS = (
    "run_id", "source", "status", "records_processed", "records_inserted",
    "records_updated", "records_failed", "duration_ms",
)  # fmt: skip
RECORD_COLUMNS = ("id", "source", "source_id", "title", "category", "updated_at")


@source.command("list")
@examples("astralytiq source list --json")
def list_sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sources."""
    with connected(context) as client:
        show(client.get("/sources"), SOURCE_COLUMNS, as_json=as_json)


@source.command("show")
def show_source(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one source; secrets stand in it by reference only."""
    with connected(context) as client:
        show_one(client.get(f"/sources/{name}"), as_json=as_json)


@source.command("add")
@examples(
    """
    astralytiq source add meters --csv 'meters-*.csv' --key id
    astralytiq source add posts --api https://api.example.org/posts --key id
    astralytiq source add posts --from posts.json
    """
)
def add_source(
    context: typer.Context,
    name: str,
    csv: Annotated[str, typer.Option(help="A file or glob below SOURCE_ROOTS.")] = "",
    api: Annotated[str, typer.Option(help="The address of a JSON API.")] = "",
    key: Annotated[list[str] | None, typer.Option(help="A field of the primary key.")] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="A JSON file with any fields of a source.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a source."""
    body: dict[str, Any] = {**read_fields(file), "name": name}
    if csv:
        body |= {"kind": "csv", "path": csv}
    if api:
        body |= {"kind": "api", "url": api}
    if key:
        body["primary_key"] = key[0] if len(key) == 1 else key
    if "kind" not in body:
        fail("Say what to read: --csv PATH, --api URL, or --from FILE.", BAD_INPUT)
    with connected(context) as client:
        show_one(client.post("/sources", json=body), as_json=as_json)


def read_fields(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be read as JSON: {error}", BAD_INPUT)
    if not isinstance(found, dict):
        fail(f"{file} must hold one JSON object.", BAD_INPUT)
    return found


@source.command("run")
@examples("astralytiq source run meters")
def run_source(
    context: typer.Context,
    name: str,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Also drop records the source no longer has.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read a source and wait for the end; exit code 1 if it failed."""
    with connected(context) as client:
        run = client.post(f"/sources/{name}/run", json={"full_refresh": full_refresh})
        show_one(finished(client, run), as_json=as_json)


def finished(client: "Client", run: dict[str, Any]) -> dict[str, Any]:
    follow(client, run["job_id"], f"run of {run['source']}")
    found: dict[str, Any] = client.get(f"/etl/runs/{run['run_id']}")
    return found


@source.command("remove")
@examples("astralytiq source remove meters --records delete")
def remove_source(
    context: typer.Context,
    name: str,
    records: Annotated[str, typer.Option(help="keep or delete what it brought")] = "keep",
) -> None:
    """Forget a source."""
    with connected(context) as client:
        client.delete(f"/sources/{name}", params={"records": records})
        typer.echo(f"removed {name} ({records} its records)")


@etl.command("runs")
@examples("astralytiq etl runs --source meters")
def list_runs(context: typer.Context, source: str = "", as_json: AsJson = False) -> None:
    """List runs, newest first."""
    with connected(context) as client:
        found = client.get("/etl/runs", params={"source": source} if source else {})
        show(found, RUN_COLUMNS, as_json=as_json)


@etl.command("show")
def show_run(context: typer.Context, run_id: str, as_json: AsJson = False) -> None:
    """Show one run."""
    with connected(context) as client:
        show_one(client.get(f"/etl/runs/{run_id}"), as_json=as_json)


@etl.command("rejects")
@examples("astralytiq etl rejects --source meters")
def list_rejects(context: typer.Context, source: str = "", as_json: AsJson = False) -> None:
    """List what could not become a record, with the reason."""
    with connected(context) as client:
        found = client.get("/etl/rejects", params={"source": source} if source else {})
        show(found, ("id", "source", "run_id", "reason", "payload"), as_json=as_json)


@data.command("list")
@examples("astralytiq data list --source meters --limit 5")
def list_records(
    context: typer.Context,
    source: str = "",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    as_json: AsJson = False,
) -> None:
    """List records."""
    params: dict[str, Any] = {"limit": limit} | ({"source": source} if source else {})
    with connected(context) as client:
        page = client.get("/data", params=params)
        show(page["data"], RECORD_COLUMNS, as_json=as_json)


@data.command("show")
def show_record(
    context: typer.Context,
    record_id: int,
    raw: Annotated[bool, typer.Option("--raw", help="The payload it came from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one record."""
    with connected(context) as client:
        show_one(client.get(f"/data/{record_id}{'/raw' if raw else ''}"), as_json=as_json)
