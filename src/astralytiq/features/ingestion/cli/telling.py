"""What commands say of a run: its line in a list, what was odd in it, and what to do next."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from astralytiq.terminal import cell, show, show_json, show_one

if TYPE_CHECKING:
    from astralytiq.client import Client

RUN_COLUMNS = (
    "run_id", "source", "status", "processed", "inserted", "updated", "failed", "took", "started",
)  # fmt: skip
SHIFTED, VALUES = 0.05, 5  # distance from which values are shown, and how many of a field
RECENT = 20  # anomalies of a source: those of its newest run are the first


def show_runs(runs: Sequence[dict[str, Any]], *, as_json: bool, total: int | None = None) -> None:
    rows = runs if as_json else [line(run) for run in runs]
    show(rows, RUN_COLUMNS, as_json=as_json, total=total)


def line(run: dict[str, Any]) -> dict[str, Any]:
    counts = {
        name.removeprefix("records_"): n for name, n in run.items() if name.startswith("records_")
    }
    return run | counts | {"took": lasted(run["duration_ms"]), "started": run["start_time"]}


def lasted(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def show_run(run: dict[str, Any], *, as_json: bool) -> None:
    """All of a run, and for people what they may do about it."""
    show_one(run, as_json=as_json)
    if as_json:
        return
    found = list(ways_on(run))
    if found:
        typer.echo()
    widest = max((len(command) for command, _ in found), default=0)
    for at, (command, why) in enumerate(found):
        typer.echo(f"{'    ' if at else 'next'}  {command:<{widest}}  {why}")


def ways_on(run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Commands, each with what it is good for."""
    run_id, source, status = run["run_id"], run["source"], run["status"]
    if status == "in_progress":
        yield f"astralytiq etl show {run_id} --follow", "watch it to its end"
        yield f"astralytiq etl cancel {run_id}", "stop it after its current batch"
    if status == "failed":
        yield f"astralytiq etl show {run_id} --follow", "what happened, step by step"
    if status in ("failed", "cancelled") and run["kind"] == "load" and not run["dry_run"]:
        if run["job_id"]:
            where = f"after batch {run['batches']}" if run["batches"] else "from its beginning"
            yield f"astralytiq job retry {run['job_id']}", f"once it is mended: goes on {where}"
        yield f"astralytiq source run {source}", "or reads anew: nothing is stored twice"
    if run["records_failed"] and not run["dry_run"]:
        count = f"{run['records_failed']:,} rejected"
        yield f"astralytiq etl rejects --run {run_id}", f"{count}: which, and why"


def tell_oddities(client: "Client", run: dict[str, Any]) -> None:
    """On standard error, so that a pipe gets the run alone."""
    for words in oddities(client, run):
        typer.echo(cell(f"{run['source']}: {words}"), err=True)


def oddities(client: "Client", run: dict[str, Any]) -> Iterator[str]:
    source, run_id = run["source"], run["run_id"]
    for drift in client.get("/etl/drift", params={"run_id": run_id}):
        change = drift["change"].replace("_", " ")
        types = " -> ".join(filter(None, (drift["before"], drift["after"])))
        yield f"field {drift['field']!r} {change} ({types})"
    for one in client.get("/etl/anomalies", params={"source": source, "limit": RECENT}):
        if one["run_id"] == run_id:
            yield one["message"]
    if failed := run["records_failed"]:
        share = f"{failed:,} of {run['records_processed']:,} records"
        yield f"{share} rejected: astralytiq etl rejects --run {run_id}"


def show_comparison(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    parts = found["counts"] | found["rates"] | {"duration_ms": found["duration_ms"]}
    nulls = {f"nulls in {name}": one for name, one in found["null_ratios"].items()}
    means = {
        f"mean of {name}": one["numbers"]["mean"]
        for name, one in found["distributions"].items()
        if one["numbers"]
    }
    rows = [{"what": name} | one for name, one in (parts | nulls | means).items()]
    show(rows, ("what", "before", "after", "change"), as_json=False)
    for words in differences(found):
        typer.echo(cell(words))


def differences(found: dict[str, Any]) -> Iterator[str]:
    fields = found["fields"]
    for kind in ("added", "removed"):
        if fields[kind]:
            yield f"fields {kind}: {', '.join(fields[kind])}"
    for name, types in fields["types_changed"].items():
        yield f"type of {name}: {' or '.join(types['before'])} -> {' or '.join(types['after'])}"
    for name, one in found["distributions"].items():
        moved = {value: share for value, share in (one["values"] or {}).items() if share["change"]}
        if moved and (one["distance"] or 0) >= SHIFTED:
            shares = ", ".join(
                f"{value} {share['before'] or 0:.0%} -> {share['after'] or 0:.0%}"
                for value, share in list(moved.items())[:VALUES]
            )
            yield f"values of {name}: {shares}"
