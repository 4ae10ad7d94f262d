"""Commands for the audit trail."""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from astralytiq.terminal import AsJson, connected, examples, fail, group, show, show_json

app = group("audit", "The audit trail: who did what, and the proof that it is whole.")

COLUMNS = (
    "sequence", "created_at", "actor_id", "actor_name", "action", "resource", "outcome", "address",
    "details",
)  # fmt: skip

Actor = Annotated[str, typer.Option(help="An account's id or email, 'system' or 'anonymous'.")]
Action = Annotated[str, typer.Option(help="Its beginning, such as 'user.'.")]
Resource = Annotated[str, typer.Option(help="'dataset/7', or 'dataset/' for all of them.")]
Outcome = Annotated[str, typer.Option(help="Such as ok or refused.")]
Since = Annotated[str, typer.Option(help="At this time or later, such as 2026-01-31T08:00:00Z.")]
Until = Annotated[str, typer.Option(help="Before this time.")]


def given(**filters: Any) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value}


@app.command("list")
@examples("astralytiq audit list --action user. --outcome refused")
def list_entries(
    context: typer.Context,
    actor: Actor = "",
    action: Action = "",
    resource: Resource = "",
    outcome: Outcome = "",
    since: Since = "",
    until: Until = "",
    before: Annotated[int, typer.Option(help="Only entries with a lower sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List what happened, newest first."""
    params = given(
        actor=actor, action=action, resource=resource, outcome=outcome, since=since, until=until,
        before=before, limit=limit,
    )  # fmt: skip
    with connected(context) as client:
        show(client.get("/audit", params=params), COLUMNS, as_json=as_json)


@app.command("export")
@examples("astralytiq audit export --format jsonl --output audit.jsonl")
def export_entries(
    context: typer.Context,
    format: Annotated[str, typer.Option(help="csv or jsonl")] = "csv",
    output: Annotated[Path | None, typer.Option(help="A file (default: standard output).")] = None,
    actor: Actor = "",
    action: Action = "",
    resource: Resource = "",
    outcome: Outcome = "",
    since: Since = "",
    until: Until = "",
) -> None:
    """Write all that matches, oldest first, a line an entry."""
    params = given(
        format=format, actor=actor, action=action, resource=resource, outcome=outcome, since=since,
        until=until,
    )  # fmt: skip
    with connected(context) as client, client.stream(f"/audit?{urlencode(params)}") as chunks:
        if output is None:
            sys.stdout.buffer.writelines(chunks)
        else:
            with output.open("wb") as file:
                file.writelines(chunks)


@app.command("verify")
@examples("astralytiq audit verify\nastralytiq audit verify --expect 1200:9f86d081…")
def verify(
    context: typer.Context,
    expect: Annotated[str, typer.Option(help="SEQUENCE:HASH that an earlier verify printed.")] = "",
    as_json: AsJson = False,
) -> None:
    """Prove that no entry was altered or removed; exit code 1 names the first that was."""
    with connected(context) as client:
        found = client.get("/audit/verify", params=given(expect=expect))
    if as_json:
        show_json(found)
    if fault := found["first_fault"]:
        fail(f"Row {fault['sequence']} of the audit trail does not fit: {fault['reason']}.")
    if not as_json:
        end = f"{found['head']['sequence']}:{found['head']['hash']}"
        sys.stdout.write(
            f"All {found['rows']} rows fit. Note the end of the chain elsewhere, and a later "
            f"verify can prove that nothing was rewritten:\n--expect {end}\n"
        )
