"""Commands for a file of sources: look at one, make them all so."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    cell,
    connected,
    examples,
    fail,
    show_json,
)

from .sources import source

if TYPE_CHECKING:
    from astralytiq.client import Client
    from astralytiq.features.ingestion.source_file import Listing

SourcesFile = Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON: 'sources:'.")]
# What the server adds to a source, which is no part of its configuration.
STORED = ("id", "owner_id", "created_at", "updated_at", "next_run_at")
PLATFORMS = ("source", "entity_id", "content_hash")
MISSPELT = "extra_forbidden"  # how the server names a field that it does not know
SCHEMAS = (
    "SourceList", "ApiSource", "CsvSource", "RssSource", "Auth", "Pagination", "RateLimit", "Retry",
)  # fmt: skip
KINDS = ("api", "csv", "rss")


@source.command("apply")
@examples(
    """
    astralytiq source apply -f sources.yaml
    astralytiq source apply -f sources.yaml --prune --yes
    """
)
def apply_sources(
    context: typer.Context,
    file: SourcesFile,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete your sources (an admin: all) that the file lacks."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it, do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the sources those of a file.

    The plan comes first, and nothing is done without a yes.
    """
    read = read_sources(file)
    params: dict[str, Any] = {"prune": prune}
    with connected(context) as client, faults_in(client, file, read):
        plan = client.put("/sources", json=read.content, params={**params, "dry_run": True})
        if not as_json:
            show_plan(plan)
        if changes_in(plan) and (yes or (not as_json and agreed())):
            seen = {"If-Match": f'"{plan["version"]}"'}
            plan = client.put("/sources", json=read.content, params=params, headers=seen)
            typer.echo(f"done: {counted(changes_in(plan))}", err=True)
        if as_json:
            show_json(plan)


def agreed() -> bool:
    if sys.stdin.isatty():
        return typer.confirm("Do it?", err=True)
    typer.echo("Nothing was changed: repeat it with --yes.", err=True)
    return False


def counted(changes: list[dict[str, Any]]) -> str:
    """How many of what, as `2 created, 1 deleted`."""
    numbers = Counter(one["action"] for one in changes)
    return ", ".join(f"{number} {action.rstrip('e')}ed" for action, number in numbers.items())


def changes_in(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in plan["sources"] if one["action"] not in ("unchanged", "left")]


def show_plan(plan: dict[str, Any]) -> None:
    for one in plan["sources"]:
        fields = [f"{f['field']} {cell(f['before'])} -> {cell(f['after'])}" for f in one["fields"]]
        note = "on the server, not in the file" if one["action"] == "left" else ", ".join(fields)
        typer.echo(cell(f"{one['action']:<10} {one['name']}" + (f": {note}" if note else "")))


def read_sources(file: Path) -> "Listing":
    from astralytiq.features.ingestion import source_file  # noqa: PLC0415 - --help reads no YAML

    try:
        return source_file.read(file)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", BAD_INPUT)
    except source_file.Unreadable as faults:
        refuse_file(file, [(one.line, one.words) for one in faults.mistakes])


@contextmanager
def faults_in(
    client: "Client", file: Path, read: "Listing", at: int | None = None
) -> Iterator[None]:
    """What the server finds wrong is told with the line of the file; `at`: it saw one source."""
    from astralytiq.client import ClientError  # noqa: PLC0415 - --help needs no HTTP

    try:
        yield
    except ClientError as error:
        if not error.faults:
            raise
        found = []
        misspelt = any(fault["type"] == MISSPELT for fault in error.faults)
        known = known_fields(client) if misspelt else set()
        for fault in error.faults:
            place = [*(["sources", at] if at is not None else []), *fault["loc"][1:]]
            if place[2:3] and place[2] in KINDS:
                del place[2]  # The server names the kind that it took the source for.
            found.append((read.line(place), f"{'.'.join(map(str, place))}: {worded(fault, known)}"))
        refuse_file(file, found)


def known_fields(client: "Client") -> set[str]:
    """As the server's own documentation has them."""
    schemas = client.get("/openapi.json")["components"]["schemas"]
    return {field for name in SCHEMAS for field in schemas.get(name, {}).get("properties", ())}


def worded(fault: dict[str, Any], known: set[str]) -> str:
    """A field that is not there was most likely misspelt."""
    if fault["type"] != MISSPELT:
        return str(fault["msg"])
    meant = get_close_matches(str(fault["loc"][-1]), sorted(known), n=1)
    return "there is no such field" + (f": did you mean {meant[0]!r}?" if meant else "")


def refuse_file(file: Path, faults: Iterable[tuple[int, str]]) -> NoReturn:
    found = sorted(faults)
    for line, words in found:
        typer.echo(f"{file}:{line}: {words}", err=True)
    fail(f"{file} has {len(found)} fault(s): nothing was changed.", BAD_INPUT)


@source.command("preview")
@examples(
    """
    astralytiq source preview posts
    astralytiq source preview posts -f sources.yaml --limit 3
    """
)
def preview_source(
    context: typer.Context,
    name: str,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Take it from this file instead.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=50)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what a run would make of the first records.

    Nothing is stored.
    """
    params = {"limit": limit}
    if file is None:
        with connected(context) as client:
            kept = client.get(f"/sources/{name}")
            body = {field: value for field, value in kept.items() if field not in STORED}
            found = client.post("/sources/preview", json=body, params=params)
    else:
        read = read_sources(file)
        at, body = named(file, read, name)
        with connected(context) as client, faults_in(client, file, read, at):
            found = client.post("/sources/preview", json=body, params=params)
    show_preview(found, as_json=as_json)


def named(file: Path, read: "Listing", name: str) -> tuple[int, Any]:
    listed = read.content.get("sources")
    for at, one in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(one, dict) and one.get("name") == name:
            return at, one
    fail(f"{file} has no source {name!r} below 'sources:'.", BAD_INPUT)


def show_preview(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    for number, one in enumerate(found["records"], 1):
        typer.echo(f"{number} raw     {cell(one['raw'])}")
        made = (
            f"reject  {cell(one['reason'])}"
            if one["reason"]
            else f"record  {filled(one['record'])}"
        )
        typer.echo(f"{' ' * len(str(number))} {made}")
    if not found["records"]:
        typer.echo("The source has no records now.", err=True)


def filled(record: dict[str, Any]) -> str:
    """What a record says, without what the platform adds or nobody filled."""
    return cell({k: v for k, v in record.items() if v is not None and k not in PLATFORMS})
