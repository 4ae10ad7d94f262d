"""Commands for sources and their runs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    connected,
    examples,
    fail,
    group,
    show,
    show_one,
)

from . import telling
from .runs import FullRefresh, finished

if TYPE_CHECKING:
    from astralytiq.client import Client, ClientError

source = group("source", "Sources: where records come from.")

FIRST = (
    "name",
    "kind",
    "enabled",
    "path",
    "url",
    "schedule",
    "next_run_at",
    "primary_key",
    "mapping",
)
LAST = ("id", "owner_id", "created_at", "updated_at")
SOURCE_COLUMNS = ("name", "kind", "enabled", "schedule", "next_run_at", "updated_at")


@source.command("list")
@examples("astralytiq source list --json")
def list_sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sources."""
    with connected(context) as client:
        show(client.every("/sources"), SOURCE_COLUMNS, as_json=as_json)


@source.command("show")
@examples("astralytiq source show meters")
def show_source(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one source; secrets by reference only."""
    with connected(context) as client:
        show_source_of(client.get(f"/sources/{name}"), as_json=as_json)


def show_source_of(found: dict[str, Any], *, as_json: bool) -> None:
    """What it is comes first, what the platform keeps about it last."""
    order = {name: at for at, name in enumerate(FIRST)} | dict.fromkeys(LAST, len(found))
    names = sorted(found, key=lambda name: order.get(name, len(FIRST)))
    show_one(found if as_json else {name: found[name] for name in names}, as_json=as_json)


@source.command("add")
@examples(
    """
    astralytiq source add meters --csv 'meters-*.csv' --key id
    astralytiq source add prices --csv https://example.org/prices.csv.gz --key id
    astralytiq source add posts --api https://api.example.org/posts --key id
    astralytiq source add posts --api https://api.example.org/posts --paging page --end-status 404
    astralytiq source add news --rss https://example.org/feed.xml
    astralytiq source add posts --from posts.json
    """
)
def add_source(
    context: typer.Context,
    name: str,
    csv: Annotated[
        str, typer.Option(help="A file or glob below SOURCE_ROOTS, s3://bucket/key, or a URL.")
    ] = "",
    api: Annotated[str, typer.Option(help="The address of a JSON API.")] = "",
    rss: Annotated[str, typer.Option(help="The address of a feed.")] = "",
    key: Annotated[
        list[str] | None, typer.Option(help="A field of the primary key; repeatable.")
    ] = None,
    paging: Annotated[
        str, typer.Option(help="How an API hands out pages: page, offset or link.")
    ] = "",
    end_status: Annotated[
        list[int] | None,
        typer.Option(help="A status that means, after the first page: no more pages."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", help="A JSON file with any fields of a source.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a source."""
    if sum(map(bool, (csv, api, rss))) > 1:
        fail("A source has one kind: give --csv, --api or --rss, one of them.", BAD_INPUT)
    body: dict[str, Any] = {**read_fields(file), "name": name}
    if csv:
        at_server = csv.lower().startswith(("http://", "https://"))
        body |= {"kind": "csv", "url" if at_server else "path": csv}
    if api:
        body |= {"kind": "api", "url": api}
    if rss:
        body |= {"kind": "rss", "url": rss}
    if key:
        body["primary_key"] = key[0] if len(key) == 1 else key
    if paging or end_status:
        body["pagination"] = {**(body.get("pagination") or {}), **paged(paging, end_status)}
    if "kind" not in body:
        fail("Say what to read: --csv PATH, --api URL, --rss URL, or --from FILE.", BAD_INPUT)
    with connected(context) as client:
        show_source_of(client.post("/sources", json=body), as_json=as_json)


def paged(style: str, end_status: list[int] | None) -> dict[str, Any]:
    given = {"style": style, "end_statuses": end_status}
    return {name: value for name, value in given.items() if value}


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


@source.command("enable")
@examples("astralytiq source enable meters")
def enable_source(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Let a source run again, also by its schedule."""
    switch(context, name, True, as_json)


@source.command("disable")
@examples("astralytiq source disable meters")
def disable_source(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Keep a source from running; its records stay."""
    switch(context, name, False, as_json)


def switch(context: typer.Context, name: str, enabled: bool, as_json: bool) -> None:
    with connected(context) as client:
        found = client.patch(f"/sources/{name}", json={"enabled": enabled})
        show_source_of(found, as_json=as_json)


@source.command("run")
@examples(
    """
    astralytiq source run meters
    astralytiq source run meters posts
    astralytiq source run meters --dry-run
    """
)
def run_source(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME", show_default=False)],
    full_refresh: FullRefresh = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Store nothing, and tell what a run would do.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run sources, one after the other.

    Waits for the end of the last; exit code 1 if one failed.
    """
    asked = {"full_refresh": full_refresh, "dry_run": dry_run}
    faults: list[ClientError] = []
    with connected(context) as client:
        runs = [run for name in names if (run := run_to_its_end(client, name, asked, faults))]
        for run in runs if dry_run else ():
            foretell(client, run["run_id"])
        if len(names) > 1:
            telling.show_runs(runs, as_json=as_json)
        elif runs and (as_json or not faults):
            telling.show_run(runs[0], as_json=as_json)
        if faults:
            raise faults[0]


def run_to_its_end(
    client: "Client", name: str, asked: dict[str, Any], faults: "list[ClientError]"
) -> dict[str, Any] | None:
    """What cannot run keeps no other from it: its fault is told, and the run is shown if it is one.

    The first fault ends the command when all have run: it is told there.
    """
    from astralytiq.client import ClientError  # noqa: PLC0415 - --help needs no HTTP

    run: dict[str, Any] | None = None
    try:
        run = client.post(f"/sources/{name}/run", json=asked)
        return finished(client, run)
    except ClientError as fault:
        named = ClientError(f"{name}: {fault.detail}", fault.status, fault.faults)
        if faults:
            typer.echo(f"astralytiq: {' '.join(named.detail.split())}", err=True)
        faults.append(named)
    return client.get(f"/etl/runs/{run['run_id']}") if run else None


def foretell(client: "Client", run_id: str) -> None:
    headers = {"Accept": "application/json"}
    for event in client.get(f"/etl/runs/{run_id}/events", headers=headers):
        if event["kind"] in ("would_reject", "drift", "dry_run"):
            typer.echo(event["message"], err=True)


@source.command("remove")
@examples("astralytiq source remove meters --records delete")
def remove_source(
    context: typer.Context,
    name: str,
    records: Annotated[
        str, typer.Option(help="keep, or delete what it brought (asks before)")
    ] = "keep",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget a source."""
    gone = records == "delete"
    with connected(context) as client:
        if gone and not yes and sys.stdin.isatty():
            total = client.get("/data", params={"source": name, "limit": 1})["total_count"]
            typer.confirm(
                f"Delete {name} and its {total:,} records for good?", abort=True, err=True
            )
        client.delete(f"/sources/{name}", params={"records": records})
        typer.echo(f"removed {name}" + (" and its records" if gone else "; its records stay"))
