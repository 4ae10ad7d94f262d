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
    astralytiq data list --q "coffee mach" --category kitchen
    astralytiq data list --limit 100 --cursor 100
""")
def list_records(
    context: typer.Context,
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    category: Annotated[str, typer.Option(help="Of this category.")] = "",
    q: Annotated[str, typer.Option(help="Beginnings of words that must all be there.")] = "",
    since: Annotated[str, typer.Option(help="Stored or changed at this time or later.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    cursor: Annotated[str, typer.Option(help="Go on from where a page ended.")] = "",
    as_json: AsJson = False,
) -> None:
    """List records, a page at a time."""
    asked = {
        "source": source, "category": category, "q": q, "updated_since": since, "cursor": cursor,
    }  # fmt: skip
    params: dict[str, Any] = {"limit": limit} | {k: v for k, v in asked.items() if v}
    with connected(context) as client:
        page = client.get("/data", params=params)
        show(page["data"], RECORD_COLUMNS, as_json=as_json)
        if page["next_cursor"]:
            total = f"{page['total_count']:,}" + (" and more" if page["total_is_capped"] else "")
            words = f"{len(page['data'])} of {total} records; those that follow: --cursor"
            typer.echo(f"{words} {page['next_cursor']}", err=True)


@data.command("show")
@examples("""
    astralytiq data show 7
    astralytiq data show 7 --raw
""")
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
    """Erase a record's thing, and its payloads.

    At all sources, and every payload that it came from: for good.
    """
    with connected(context) as client:
        entity_id = client.get(f"/data/{record_id}")["entity_id"]
        total = client.get("/data", params={"entity_id": entity_id})["total_count"]
        if not yes:
            words = f"Erase {total} records and their payloads for good?"
            typer.confirm(words, abort=True, err=True)  # Output is the answer alone.
        erased = client.delete(f"/data/{record_id}")
        follow(client, erased["job_id"], "erasing")
        show_one(erased, as_json=as_json)
