"""Commands for the records that sources brought."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import AsJson, connected, examples, follow, group, show, show_one

data = group("data", "The normalised records.")

RECORD_COLUMNS = ("id", "source", "source_id", "title", "category", "updated_at")
VERSION_COLUMNS = ("version", "run_id", "valid_from", "valid_to", "fields")


@data.command("list")
@examples("""
    astralytiq data list --source meters --limit 5
    astralytiq data list --q "coffee mach"
""")
def list_records(
    context: typer.Context,
    source: str = "",
    q: Annotated[str, typer.Option(help="Beginnings of words that must all be there.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    as_json: AsJson = False,
) -> None:
    """List records."""
    asked = {"source": source, "q": q}
    params: dict[str, Any] = {"limit": limit} | {k: v for k, v in asked.items() if v}
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


@data.command("history")
@examples("astralytiq data history 7")
def show_history(context: typer.Context, record_id: int, as_json: AsJson = False) -> None:
    """List what a record was, newest first."""
    with connected(context) as client:
        show(client.get(f"/data/{record_id}/history"), VERSION_COLUMNS, as_json=as_json)


@data.command("erase")
@examples("astralytiq data erase 7")
def erase_record(
    context: typer.Context,
    record_id: int,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the thing that a record is of, at all sources, with every payload it came from."""
    with connected(context) as client:
        entity_id = client.get(f"/data/{record_id}")["entity_id"]
        total = client.get("/data", params={"entity_id": entity_id})["total_count"]
        if not yes:
            typer.confirm(f"Erase {total} records and their payloads for good?", abort=True)
        erased = client.delete(f"/data/{record_id}")
        follow(client, erased["job_id"], "erasing")
        show_one(erased, as_json=as_json)
