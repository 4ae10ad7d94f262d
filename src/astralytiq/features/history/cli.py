"""Commands for the audit trail and the lineage."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    Limit,
    connected,
    examples,
    fail,
    group,
    show,
    show_json,
)

lineage = group("lineage", "What came of what: from a source to predictions, and back.")
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
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List what happened, newest first."""
    params = given(
        actor=actor, action=action, resource=resource, outcome=outcome, since=since, until=until,
        before=before, limit=limit,
    )  # fmt: skip
    with connected(context) as client:
        found = client.get("/audit", params=params)
        show(found, COLUMNS, as_json=as_json, total=client.total)


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


# Lineage ----------------------------------------------------------------------------------------

KINDS = (
    "source, run, raw, records, telemetry, generator, upload, dataset_version (7@2), "
    "training_run, model_version (flowers@3), deployment or prediction"
)
Named = tuple[str, str]
SHOWN_FACETS = ("status", "batches", "inserted", "updated", "rows", "algorithm", "predictions")


@lineage.command("show")
@examples(
    "astralytiq lineage show source shop --direction down\n"
    "astralytiq lineage show model_version flowers@3 --direction up"
)
def show_lineage(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=KINDS)],
    thing_id: Annotated[str, typer.Argument(metavar="ID", help="What its room calls it by.")],
    direction: Annotated[str, typer.Option(help="up, down or both")] = "both",
    depth: Annotated[int, typer.Option(min=1, max=50, help="How many edges away.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what a thing came of and what came of it, as trees."""
    if "/" in thing_id:  # It would name another path, and nothing at all.
        fail(f"{thing_id!r} names nothing: a version is named as in flowers@3 or 7@2.", BAD_INPUT)
    path = f"/lineage/{quote(kind, safe='')}/{quote(thing_id, safe='')}"
    with connected(context) as client:
        found = client.get(path, params={"direction": direction, "depth": depth})
    if as_json:
        show_json(found)
        return
    sys.stdout.write("".join(f"{line}\n" for line in trees(found, direction)))


def trees(found: dict[str, Any], direction: str) -> Iterator[str]:
    start = named(found["start"])
    facets = {named(node): node["facets"] for node in found["nodes"]}
    for way, title, near, far in (
        ("up", "came of", "made", "origin"),
        ("down", "made", "origin", "made"),
    ):
        if direction in (way, "both"):
            onwards: dict[Named, list[Named]] = {}
            for edge in found["edges"]:
                onwards.setdefault(named(edge[near]), []).append(named(edge[far]))
            yield f"{told(start, facets)} {title}:" if start in onwards else f"{title}: nothing"
            yield from branches(start, onwards, facets, {start}, "  ")
    yield from found["cut"]


def branches(
    above: Named,
    onwards: dict[Named, list[Named]],
    facets: dict[Named, dict[str, Any]],
    seen: set[Named],
    indent: str,
) -> Iterator[str]:
    """What was shown with all that hangs from it is not shown twice."""
    for node in onwards.get(above, ()):
        again = node in seen
        seen.add(node)
        yield f"{indent}{told(node, facets)}{' (see above)' if again else ''}"
        if not again:
            yield from branches(node, onwards, facets, seen, indent + "  ")


def named(end: dict[str, Any]) -> Named:
    return end["kind"], end["id"]


def told(node: Named, facets: dict[Named, dict[str, Any]]) -> str:
    known = facets.get(node, {})
    figures = ", ".join(f"{name} {known[name]}" for name in SHOWN_FACETS if name in known)
    return f"{node[0]} {node[1]}" + (f" ({figures})" if figures else "")
