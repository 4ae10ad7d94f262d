"""Commands for watching a model: they stand among those of models."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import BAD_INPUT, AsJson, connected, examples, fail, show, show_json

VERSION_COLUMNS = ("version", "stage", "verdict", "requests", "rows", "p50_ms", "p99_ms", "inputs",
                   "predictions", "quality", "outcomes")  # fmt: skip
FEATURE_COLUMNS = ("version", "feature", "verdict", "psi", "ks", "median_before", "median", "below",
                   "above", "unseen")  # fmt: skip
QUALITY_COLUMNS = ("version", "metric", "now", "held_out", "outcomes", "coverage")
SHADOW_COLUMNS = ("champion", "requests", "agreement", "mean_absolute_difference",
                  "champion_p50_ms", "challenger_p50_ms", "failed", "dropped", "outcomes",
                  "champion_quality", "challenger_quality")  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Another room has the group."""
    app.command("monitoring")(monitor)
    app.command("shadow")(shadow)


@examples(
    """
    astralytiq model monitoring iris_forest
    astralytiq model monitoring iris_forest --window 24h --version 3
    """
)
def monitor(
    context: typer.Context,
    name: str,
    window: Annotated[str, typer.Option(help="such as 24h or 7d, up to 31d")] = "7d",
    version: Annotated[
        int, typer.Option(help="default: all that answered, the one in production first")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Traffic, latency, and drift of inputs, answers and quality."""
    params = {"window": window, **({"version": version} if version else {})}
    with connected(context) as client:
        found = client.get(f"/models/{name}/monitoring", params=params)
    if as_json:
        show_json(found)
        return
    typer.echo(f"{name}: {found['verdict']}, from {found['since']} to {found['until']}")
    show([version_row(one) for one in found["versions"]], VERSION_COLUMNS, as_json=False)
    features = [
        {"version": one["version"], **feature}
        for one in found["versions"]
        for feature in one["inputs"]["features"]
    ]
    show(features, FEATURE_COLUMNS, as_json=False)
    if told := [row for one in found["versions"] for row in quality_rows(one)]:
        show(told, QUALITY_COLUMNS, as_json=False)
    for one in found["versions"]:
        for reason in one["reasons"]:
            typer.echo(f"version {one['version']}: {reason}")
    if found["not_counted_rows"]:
        typer.echo(f"{found['not_counted_rows']} rows more wait to be counted")


def version_row(one: dict[str, Any]) -> dict[str, Any]:
    parts = {name: one[name]["verdict"] for name in ("inputs", "predictions", "quality")}
    return {**one, **one["traffic"], **(one["latency"] or {}), **parts,
            "outcomes": one["quality"]["outcomes"]}  # fmt: skip


def quality_rows(one: dict[str, Any]) -> list[dict[str, Any]]:
    told = one["quality"]
    shared = {"version": one["version"], **{n: told[n] for n in ("outcomes", "coverage")}}
    return [
        {**shared, "metric": name, "now": value, "held_out": told["held_out"].get(name)}
        for name, value in told["metrics"].items()
    ]


@examples(
    """
    astralytiq model shadow iris_forest 4
    astralytiq model shadow iris_forest 4 --share 0.1
    astralytiq model shadow iris_forest
    astralytiq model shadow iris_forest --end
    """
)
def shadow(
    context: typer.Context,
    name: str,
    version: Annotated[int, typer.Argument(help="to begin with; without, tell how it is")] = 0,
    share: Annotated[float, typer.Option(help="of the requests")] = 1.0,
    end: Annotated[bool, typer.Option("--end", help="End it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a version score the same requests unseen, tell how it does, or end it."""
    if end and version:
        fail("give a version to begin, or --end", BAD_INPUT)
    path = f"/models/{name}/shadow"
    with connected(context) as client:
        if version:
            found = client.post(path, json={"version": version, "share": share})
        else:
            found = client.delete(path) if end else client.get(path)
    if as_json:
        show_json(found)
        return
    of = f" version {found['version']}, share {found['share']:g}" if found["version"] else ""
    typer.echo(f"{name}: {found['status']}{of}")
    show([shadow_row(one) for one in found["against"]], SHADOW_COLUMNS, as_json=False)
    for one in found["against"]:
        for pair in one["disagreements"][:10]:
            words = f"{pair['champion']} but {pair['challenger']} in the shadow"
            typer.echo(f"version {one['champion']} said {words}: {pair['rows']} rows")


def shadow_row(one: dict[str, Any]) -> dict[str, Any]:
    row = dict(one)
    for name in ("champion", "challenger"):
        row[f"{name}_p50_ms"] = (one[f"{name}_latency"] or {}).get("p50_ms")
        told = one[f"{name}_quality"] or {"metrics": {}, "outcomes": 0}
        metrics = told["metrics"]
        row[f"{name}_quality"] = metrics.get("accuracy", metrics.get("rmse"))
        row["outcomes"] = told["outcomes"]
    return row
