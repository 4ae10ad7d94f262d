"""Commands for runs and what they rejected."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    Limit,
    cell,
    connected,
    examples,
    fail,
    follow,
    group,
    show,
)

from . import telling

if TYPE_CHECKING:
    from astralytiq.client import Client

etl = group("etl", "Ingestion runs and what they rejected.")

FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Also drop records the source no longer has.")
]
ANOMALY_COLUMNS = ("source", "run_id", "measure", "value", "expected_low", "expected_high", "score")
RunOrSource = Annotated[
    str, typer.Argument(metavar="RUN", help="Its id; or a source: its newest run.")
]


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
    """Run a source, also through faults that are injected.

    Waits for the end of the run; exit code 1 if it failed.
    """
    asked = {"full_refresh": full_refresh, "inject": inject or []}
    with connected(context) as client:
        run = finished(client, client.post(f"/sources/{name}/run", json=asked))
        telling.show_run(run, as_json=as_json)


def finished(client: "Client", run: dict[str, Any]) -> dict[str, Any]:
    """The run at its end, with what was odd in it told; a ClientError that says why it failed."""
    from astralytiq.client import ClientError  # noqa: PLC0415 - --help needs no HTTP

    try:
        follow(client, run["job_id"], f"run of {run['source']}")
    except ClientError as fault:
        ended = client.get(f"/etl/runs/{run['run_id']}")
        if ended["status"] == "in_progress":
            raise
        words = (ended["error"] or fault.detail).rstrip(".")
        way = f"astralytiq etl show {run['run_id']} --follow"
        raise ClientError(f"{words}. What happened: {way}", fault.status) from None
    found: dict[str, Any] = client.get(f"/etl/runs/{run['run_id']}")
    if not found["dry_run"]:
        telling.tell_oddities(client, found)
    return found


@etl.command("runs")
@examples(
    """
    astralytiq etl runs --source meters
    astralytiq etl runs --status failed --limit 5
    """
)
def list_runs(
    context: typer.Context,
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    status: Annotated[str, typer.Option(help="in_progress, success, failed or cancelled")] = "",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    asked = {"source": source, "status": status}
    params = {"limit": limit} | {name: value for name, value in asked.items() if value}
    with connected(context) as client:
        found = client.get("/etl/runs", params=params)
        telling.show_runs(found, as_json=as_json, total=client.total)


@etl.command("show")
@examples(
    """
    astralytiq etl show meters
    astralytiq etl show 01a1fcaf-93b2-7ea3-807b-b93a233f9237 --follow
    """
)
def show_run(
    context: typer.Context,
    run: RunOrSource,
    watch: Annotated[
        bool, typer.Option("--follow", help="Tell what happens in it until it ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one run, and what to do about it."""
    with connected(context) as client:
        (found,) = newest(client, run, 1)
        if watch:
            follow_run(client, found["run_id"])
            found = client.get(f"/etl/runs/{found['run_id']}")
        telling.show_run(found, as_json=as_json)


def newest(client: "Client", named: str, count: int) -> list[dict[str, Any]]:
    """The run of this id; or of the source of this name the newest runs, `count` of them."""
    from astralytiq.client import ClientError  # noqa: PLC0415 - --help needs no HTTP

    try:
        return [client.get(f"/etl/runs/{named}")]
    except ClientError as refusal:
        if refusal.status != 404:
            raise
    found: list[dict[str, Any]] = client.get("/etl/runs", params={"source": named, "limit": count})
    if not found:
        fail(f"There is no run {named!r}, and no source of this name that has run.", BAD_INPUT)
    return found


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
            typer.echo(f"{event['created_at'][:19]}Z  {cell(event['message'])}", err=True)
        if running and not found:
            time.sleep(pause)
        running = running or bool(found)


@etl.command("cancel")
@examples("astralytiq etl cancel meters")
def cancel_run(context: typer.Context, run: RunOrSource, as_json: AsJson = False) -> None:
    """Stop a run after its current batch."""
    with connected(context) as client:
        (found,) = newest(client, run, 1)
        client.post(f"/etl/runs/{found['run_id']}/cancel")
        telling.show_run(client.get(f"/etl/runs/{found['run_id']}"), as_json=as_json)


@etl.command("compare")
@examples(
    """
    astralytiq etl compare meters
    astralytiq etl compare RUN OTHER_RUN
    """
)
def compare_runs(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Its id; or a source: its two newest runs.")
    ],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="A later one of the source.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what changed between two runs of a source."""
    with connected(context) as client:
        if not other:
            found = newest(client, run, 2)
            if len(found) < 2:
                fail(f"Say with which other run: one is all that {run!r} names.", BAD_INPUT)
            run, other = found[1]["run_id"], found[0]["run_id"]
        comparison = client.get(f"/etl/runs/{run}/compare/{other}")
        telling.show_comparison(comparison, as_json=as_json)


@etl.command("anomalies")
@examples("astralytiq etl anomalies --source meters")
def list_anomalies(
    context: typer.Context,
    source: Annotated[str, typer.Option(help="Of this source.")] = "",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List runs that are unusual for their source."""
    params: dict[str, Any] = {"limit": limit} | ({"source": source} if source else {})
    with connected(context) as client:
        found = client.get("/etl/anomalies", params=params)
        show(found, ANOMALY_COLUMNS, as_json=as_json, total=client.total)
