"""Commands for what was rejected, for drift, and for reading stored payloads again."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    Limit,
    connected,
    examples,
    fail,
    follow,
    show,
    show_one,
)

from .runs import etl

REJECT_COLUMNS = ("id", "source", "run_id", "status", "reason", "payload")
DRIFT_COLUMNS = ("source", "run_id", "field", "change", "before", "after", "confidence", "examples")

Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False)]
Source = Annotated[str, typer.Option(help="All of this source.")]
RunId = Annotated[str, typer.Option("--run", help="All of this run.")]


def named(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}


@etl.command("rejects")
@examples("astralytiq etl rejects --source meters --status open")
def list_rejects(
    context: typer.Context,
    source: Source = "",
    run: RunId = "",
    status: Annotated[str, typer.Option(help="open, retried or discarded")] = "",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List what could not become a record, with the reason."""
    with connected(context) as client:
        params = named(source=source, run_id=run, status=status, limit=limit)
        found = client.get("/etl/rejects", params=params)
        show(found, REJECT_COLUMNS, as_json=as_json, total=client.total)
        if not as_json and any(one["status"] == "open" for one in found):
            words = "mend the mapping or the source, then: astralytiq etl retry (or discard) ID"
            typer.echo(words, err=True)


@etl.command("retry")
@examples(
    """
    astralytiq etl retry 17 18
    astralytiq etl retry --source meters
    """
)
def retry_rejects(
    context: typer.Context,
    ids: Ids = None,
    source: Source = "",
    run: RunId = "",
    as_json: AsJson = False,
) -> None:
    """Try open rejects again, as mapped today."""
    body = which(ids, source, run)
    with connected(context) as client:
        asked = client.post("/etl/rejects/retry", json=body)
        job = follow(client, asked["job_id"], "retry of rejects")
        show_one(job["result"], as_json=as_json)


@etl.command("discard")
@examples("astralytiq etl discard 17")
def discard_rejects(
    context: typer.Context,
    ids: Ids = None,
    source: Source = "",
    run: RunId = "",
    as_json: AsJson = False,
) -> None:
    """Put open rejects aside for good; they stay listed."""
    body = which(ids, source, run)
    with connected(context) as client:
        show_one(client.post("/etl/rejects/discard", json=body), as_json=as_json)


def which(ids: list[int] | None, source: str, run: str) -> dict[str, Any]:
    if body := named(ids=ids, source=source, run_id=run):
        return body
    fail("Say which rejects: their ids, --source NAME, or --run ID.", BAD_INPUT)


@etl.command("replay")
@examples("astralytiq etl replay meters")
def replay_source(
    context: typer.Context,
    name: str,
    since_run: Annotated[
        str, typer.Option(help="Only what this run read, and those after it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Normalise stored payloads again, as mapped today.

    The source is not called.
    """
    with connected(context) as client:
        run = client.post(f"/sources/{name}/replay", json=named(since_run=since_run))
        follow(client, run["job_id"], f"replay of {name}")
        show_one(client.get(f"/etl/runs/{run['run_id']}"), as_json=as_json)


@etl.command("drift")
@examples("astralytiq etl drift --source meters")
def list_drift(
    context: typer.Context,
    source: Source = "",
    run: RunId = "",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List fields that came, went, or changed type."""
    with connected(context) as client:
        found = client.get("/etl/drift", params=named(source=source, run_id=run, limit=limit))
        show(found, DRIFT_COLUMNS, as_json=as_json, total=client.total)
