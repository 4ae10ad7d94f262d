"""Commands for runs and what they rejected."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    AsJson,
    connected,
    examples,
    follow,
    group,
    show,
    show_json,
    show_one,
)

if TYPE_CHECKING:
    from astralytiq.client import Client

etl = group("etl", "Ingestion runs and what they rejected.")

FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Also drop records the source no longer has.")
]
RUN_COLUMNS = (
    "run_id", "source", "status", "records_processed", "records_inserted",
    "records_updated", "records_failed", "duration_ms",
)  # fmt: skip


@etl.command("run")
@examples(
    """
    astralytiq etl run orders
    astralytiq etl run orders --inject http500@page:2 --inject timeout@page:3
    astralytiq etl run meters --inject crash@batch:1
    """
)
def run_source(
    context: typer.Context,
    name: str,
    inject: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND@UNIT:N",
            help="A fault for the run to meet once, as a drill: crash@batch:N; timeout, http429, "
            "http500, truncate, duplicate or reorder@page:N; corrupt@record:N. Repeatable; refused "
            "in production.",
        ),
    ] = None,
    full_refresh: FullRefresh = False,
    as_json: AsJson = False,
) -> None:
    """Run a source to its end, also through injected faults; exit code 1 if it failed."""
    asked = {"full_refresh": full_refresh, "inject": inject or []}
    with connected(context) as client:
        run = finished(client, client.post(f"/sources/{name}/run", json=asked))
        show_one(run, as_json=as_json)


def finished(client: "Client", run: dict[str, Any]) -> dict[str, Any]:
    follow(client, run["job_id"], f"run of {run['source']}")
    found: dict[str, Any] = client.get(f"/etl/runs/{run['run_id']}")
    return found


@etl.command("runs")
@examples("astralytiq etl runs --source meters")
def list_runs(context: typer.Context, source: str = "", as_json: AsJson = False) -> None:
    """List runs, newest first."""
    with connected(context) as client:
        found = client.get("/etl/runs", params={"source": source} if source else {})
        show(found, RUN_COLUMNS, as_json=as_json)


@etl.command("show")
@examples("astralytiq etl show RUN --follow")
def show_run(
    context: typer.Context,
    run_id: str,
    watch: Annotated[
        bool, typer.Option("--follow", help="Tell what happens in it until it ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one run."""
    with connected(context) as client:
        if watch:
            follow_run(client, run_id)
        show_one(client.get(f"/etl/runs/{run_id}"), as_json=as_json)


def follow_run(client: "Client", run_id: str, pause: float = 0.5) -> None:
    after, running = 0, True
    while running:
        # First how it stands: what its end told is then among the events.
        running = client.get(f"/etl/runs/{run_id}")["status"] == "in_progress"
        params = {"after": after} if after else {}
        accept = {"Accept": "application/json"}
        found = client.get(f"/etl/runs/{run_id}/events", params=params, headers=accept)
        for event in found:
            after = event["id"]
            typer.echo(f"{event['created_at'][:19]}  {event['message']}", err=True)
        if running and not found:
            time.sleep(pause)
        running = running or bool(found)


@etl.command("compare")
@examples("astralytiq etl compare RUN OTHER_RUN")
def compare_runs(
    context: typer.Context, run_id: str, other_id: str, as_json: AsJson = False
) -> None:
    """Show what changed from one run of a source to another."""
    with connected(context) as client:
        found = client.get(f"/etl/runs/{run_id}/compare/{other_id}")
        if as_json:
            show_json(found)
            return
        parts = found["counts"] | found["rates"] | {"duration_ms": found["duration_ms"]}
        nulls = {f"nulls in {name}": one for name, one in found["null_ratios"].items()}
        rows = [{"what": name} | one for name, one in (parts | nulls).items()]
        show(rows, ("what", "before", "after", "change"), as_json=False)
        for kind in ("added", "removed"):
            if names := found["fields"][kind]:
                typer.echo(f"fields {kind}: {', '.join(names)}")
