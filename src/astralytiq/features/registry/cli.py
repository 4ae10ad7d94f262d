"""Commands for models and their versions."""

from pathlib import Path

import typer

from astralytiq.terminal import (
    FAILURE,
    AsJson,
    connected,
    examples,
    fail,
    follow,
    group,
    show,
    show_one,
)

app = group("model", "Models: list, show, promote, export, reproduce.")

COLUMNS = ("name", "type", "accuracy", "f1_score", "status", "deployment_date", "avg_latency_ms")
VERSION_COLUMNS = ("version", "algorithm", "stage", "dataset", "seed", "metrics", "created_at")


@app.command("list")
@examples("astralytiq model list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models."""
    with connected(context) as client:
        show(client.get("/models"), COLUMNS, as_json=as_json)


@app.command("show")
def show_model(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one model."""
    with connected(context) as client:
        show_one(client.get(f"/models/{name}"), as_json=as_json)


@app.command("versions")
def list_versions(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """List the versions of a model."""
    with connected(context) as client:
        show(client.get(f"/models/{name}/versions"), VERSION_COLUMNS, as_json=as_json)


@app.command("stage")
@examples("astralytiq model stage iris_forest 3 production")
def set_stage(
    context: typer.Context, name: str, version: int, stage: str, as_json: AsJson = False
) -> None:
    """Put a version into production, staging, archived or none; going back is the same call."""
    path = f"/models/{name}/versions/{version}/stage"
    with connected(context) as client:
        show_one(client.post(path, json={"stage": stage}), as_json=as_json)


@app.command("export")
@examples(
    """
    astralytiq model export iris_forest 3 iris.onnx
    astralytiq model export iris_forest 3 iris.model --format native
    """
)
def export_version(
    context: typer.Context, name: str, version: int, file: Path, format: str = "onnx"
) -> None:
    """Write a version's model into a file: ONNX for other runtimes, or as we keep it."""
    with connected(context) as client:
        path = f"/models/{name}/versions/{version}/export?format={format}"
        with client.stream(path) as parts, file.open("wb") as target:
            for part in parts:
                target.write(part)
        typer.echo(f"wrote {file} ({file.stat().st_size} bytes)")


@app.command("reproduce")
@examples("astralytiq model reproduce iris_forest 3")
def reproduce_version(
    context: typer.Context, name: str, version: int, as_json: AsJson = False
) -> None:
    """Train a version again from what is kept of it, and compare the files byte for byte."""
    with connected(context) as client:
        asked = client.post(f"/models/{name}/versions/{version}/reproduce")
        found = follow(client, asked["job_id"], f"training {name}@{version} again")["result"]
        show_one(found, as_json=as_json)
    if not found["reproduced"]:
        differs = "; ".join(found["differences"]) or "nothing that is kept of the environment"
        fail(f"{name}@{version} came out otherwise. What differs: {differs}.", FAILURE)
