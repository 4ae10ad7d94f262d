"""Commands for data sets."""

from pathlib import Path
from typing import Annotated

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

app = group("dataset", "Data sets: named tables in immutable versions.")

# Large files are converted before the answer comes.
UPLOAD_SECONDS = 3600
COLUMNS = (
    "id", "name", "type", "version", "rows", "columns", "size_mb", "quality_score", "status",
    "updated_at",
)  # fmt: skip
RULE = ("kind", "column", "columns", "low", "high", "pattern", "values", "dataset", "key")


@app.command("list")
@examples("astralytiq dataset list")
def list_datasets(context: typer.Context, as_json: AsJson = False) -> None:
    """List the data sets."""
    with connected(context) as client:
        show(client.every("/datasets"), COLUMNS, as_json=as_json)


@app.command("show")
@examples("astralytiq dataset show 7")
def show_dataset(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """Show one data set."""
    with connected(context) as client:
        show_one(client.get(f"/datasets/{dataset_id}"), as_json=as_json)


@app.command("versions")
@examples("astralytiq dataset versions 7")
def list_versions(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """List the versions of a data set, and where each came from."""
    columns = ("reference", "rows", "columns", "size_bytes", "content_hash", "origin")
    with connected(context) as client:
        show(client.every(f"/datasets/{dataset_id}/versions"), columns, as_json=as_json)


@app.command("freeze")
@examples("""
astralytiq dataset freeze readings --source meters
astralytiq dataset freeze "news on roses" --where category=garden --where q=rose
astralytiq dataset freeze tried --job 0198b2c4-5d7e-7f10-8a3b-1c2d3e4f5a6b --table candidates
astralytiq dataset freeze drives --telemetry --device cab-7 --since 2026-01-31
""")
def freeze_dataset(
    context: typer.Context,
    name: str,
    source: Annotated[str, typer.Option(help="The source whose records it holds.")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="A filter of /data, such as category=news or updated_since=2026-01-31; repeatable."
        ),
    ] = None,
    job: Annotated[str, typer.Option(help="A job that left a table, by its id.")] = "",
    table: Annotated[
        str, typer.Option(help="Which one: candidates, folds, importances or rejects.")
    ] = "",
    telemetry: Annotated[bool, typer.Option("--telemetry", help="Events of devices.")] = False,
    device: Annotated[str, typer.Option(help="Of this one alone, as it calls itself.")] = "",
    since: Annotated[str, typer.Option(help="Events at this time or later.")] = "",
    until: Annotated[str, typer.Option(help="Events before this time.")] = "",
    as_json: AsJson = False,
) -> None:
    """Freeze records, events, or a table that a job left, as a new data set's first version."""
    asked = {"device": device, "since": since, "until": until}
    events = {key: value for key, value in asked.items() if value}
    if events and not telemetry:
        fail("--device, --since and --until choose events: add --telemetry.", BAD_INPUT)
    if telemetry and (source or where or job):
        fail("Give one of --telemetry, --source with --where, and --job.", BAD_INPUT)
    if telemetry:
        body = {"name": name, "from_telemetry": events}
    else:
        body = {"name": name, **(left_by(job, table) if job else which(source, where or []))}
    with connected(context) as client:
        made = client.post("/datasets", json=body)
        follow(client, made["job_id"], f"freezing {name}")
        show_one(client.get(f"/datasets/{made['id']}"), as_json=as_json)


def left_by(job: str, table: str) -> dict[str, dict[str, str]]:
    return {"from_job": {"job_id": job, **({"table": table} if table else {})}}


def which(source: str, where: list[str]) -> dict[str, dict[str, str]]:
    if wrong := [one for one in where if "=" not in one]:
        fail(f"--where {wrong[0]!r}: write FILTER=VALUE, such as category=news.", BAD_INPUT)
    query = dict(one.split("=", 1) for one in where)
    if not (source or query):
        fail("Say which: --source NAME, --where FILTER=VALUE, --job ID, or --telemetry.", BAD_INPUT)
    if not query:
        return {"from_records": {"source": source}}
    return {"from_query": query | ({"source": source} if source else {})}


@app.command("refreeze")
@examples("astralytiq dataset refreeze 7")
def refreeze_dataset(context: typer.Context, dataset_id: int, as_json: AsJson = False) -> None:
    """Freeze the records that it was made from, as they are today, as the next version."""
    with connected(context) as client:
        asked = client.post(f"/datasets/{dataset_id}/versions")
        follow(client, asked["job_id"], "freezing")
        show_one(client.get(f"/datasets/{dataset_id}"), as_json=as_json)


@app.command("remove")
@examples("astralytiq dataset remove 7")
def remove_dataset(context: typer.Context, dataset_id: int) -> None:
    """Remove a data set from the lists; what was made from it can still be traced."""
    with connected(context) as client:
        client.delete(f"/datasets/{dataset_id}")
        typer.echo(f"removed data set {dataset_id}")


@app.command("upload")
@examples("""
astralytiq dataset upload readings.csv --name readings
astralytiq dataset upload readings-may.parquet --to 7
""")
def upload_dataset(
    context: typer.Context,
    file: Path,
    name: Annotated[str, typer.Option(help="default: the file's name")] = "",
    to: Annotated[int, typer.Option(help="make it the next version of this data set")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a data set, or the next version of one, of a CSV, JSON Lines, Parquet or XLSX file."""
    if not file.is_file():
        fail(f"{file} is no file.", BAD_INPUT)
    if name and to:
        fail("Give --name for a new data set or --to for a version of one, not both.", BAD_INPUT)
    path = f"/datasets/{to}/versions/upload" if to else "/datasets/upload"
    with connected(context) as client, file.open("rb") as content:
        options = {"files": {"file": (file.name, content)}, "data": {"name": name} if name else {}}
        made = client.post(path, timeout=UPLOAD_SECONDS, **options)
        show_one(client.get(f"/datasets/{to or made['id']}"), as_json=as_json)


@app.command("preview")
@examples("astralytiq dataset preview 7 --limit 3")
def preview_dataset(
    context: typer.Context, dataset_id: int, limit: int = 10, as_json: AsJson = False
) -> None:
    """Show the first rows of the newest version."""
    with connected(context) as client:
        page = client.get(f"/datasets/{dataset_id}/preview", params={"limit": limit})
        names = [column["name"] for column in page["columns"]]
        show(page["rows"], names, as_json=as_json, theirs=True)


Version = Annotated[int, typer.Option("--version", help="default: the newest")]


def of_version(version: int) -> dict[str, int]:
    return {"version": version} if version else {}


@app.command("profile")
@examples("astralytiq dataset profile 7")
def profile_dataset(
    context: typer.Context, dataset_id: int, version: Version = 0, as_json: AsJson = False
) -> None:
    """Describe each column: what is missing, how many values, their range and spread."""
    columns = ("name", "type", "nulls", "distinct", "min", "max", "mean", "std")
    with connected(context) as client:
        found = client.get(f"/datasets/{dataset_id}/profile", params=of_version(version))
    show_one(found, as_json=True) if as_json else show(found["columns"], columns, as_json=False)


@app.command("quality")
@examples("astralytiq dataset quality 7")
def quality_of_dataset(
    context: typer.Context, dataset_id: int, version: Version = 0, as_json: AsJson = False
) -> None:
    """Show the score, its parts, and what lowers them with the first rows of each."""
    with connected(context) as client:
        found = client.get(f"/datasets/{dataset_id}/quality", params=of_version(version))
    if as_json:
        show_one(found, as_json=True)
        return
    typer.echo(f"score {found['score']}")
    show(found["parts"], ("name", "score", "checked", "failed", "note"), as_json=False)
    faults = [fault for part in found["parts"] for fault in part["faults"]]
    rows = [
        fault | {"rows": [one["row"] for one in fault["examples"]], "part": fault["rule"]}
        for fault in faults
    ]
    if rows:
        show(rows, ("part", "column", "rows_affected", "rows", "detail"), as_json=False)


@app.command("compare")
@examples("""
astralytiq dataset compare 7 1
astralytiq dataset compare 7 5@2
""")
def compare_datasets(
    context: typer.Context,
    dataset_id: int,
    other: Annotated[str, typer.Argument(help="the version before: 2, or 5@2 of another set")],
    version: Version = 0,
    as_json: AsJson = False,
) -> None:
    """Show column by column how a version differs from an earlier one."""
    columns = ("column", "kind", "verdict", "before", "after", "psi", "ks")
    with connected(context) as client:
        path = f"/datasets/{dataset_id}/compare/{other}"
        found = client.get(path, params=of_version(version))
    if as_json:
        show_one(found, as_json=True)
        return
    typer.echo(f"{found['before']} -> {found['after']}: {found['verdict']}")
    show(found["columns"], columns, as_json=False)


@app.command("rules")
@examples("""
astralytiq dataset rules 7
astralytiq dataset rules 7 --set rules.yaml
""")
def rules_of_dataset(
    context: typer.Context,
    dataset_id: int,
    file: Annotated[
        Path | None, typer.Option("--set", help="YAML or JSON: a list of rules to put in place")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what every version must hold, or put other rules in place and measure by them."""
    with connected(context) as client:
        path = f"/datasets/{dataset_id}/rules"
        if file:
            found = client.put(path, json={"rules": rules_in(file)})
            if found["job_id"]:
                follow(client, found["job_id"], "measuring")
        else:
            found = client.get(path)
        show(found["rules"], RULE, as_json=as_json)


def rules_in(file: Path) -> object:
    import yaml  # noqa: PLC0415 - --help needs none

    if not file.is_file():
        fail(f"{file} is no file.", BAD_INPUT)
    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        fail(f"{file} is neither YAML nor JSON.", BAD_INPUT)
    return content["rules"] if isinstance(content, dict) and "rules" in content else content


@app.command("download")
@examples("""
astralytiq dataset download 7
astralytiq dataset download 7 --format csv --output readings.csv
""")
def download_dataset(
    context: typer.Context,
    dataset_id: int,
    format_: Annotated[str, typer.Option("--format", help="parquet, csv or jsonl")] = "parquet",
    version: Version = 0,
    output: Annotated[Path | None, typer.Option(help="default: dataset-ID.FORMAT here")] = None,
) -> None:
    """Save a version as a file; a file of that name is replaced once the new one is whole."""
    target = output or Path(f"dataset-{dataset_id}.{format_}")
    draft = target.with_name(f".{target.name}.part")
    query = f"format={format_}" + (f"&version={version}" if version else "")
    with connected(context) as client:
        try:
            with (
                client.stream(f"/datasets/{dataset_id}/download?{query}") as parts,
                draft.open("wb") as file,
            ):
                file.writelines(parts)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    typer.echo(f"{target}: {target.stat().st_size} bytes")
