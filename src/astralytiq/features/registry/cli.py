"""Commands for models and their versions."""

import typer

from astralytiq.terminal import AsJson, connected, examples, group, show, show_one

app = group("model", "Models: list, show, promote.")

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
