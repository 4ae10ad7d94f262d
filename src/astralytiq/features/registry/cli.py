"""Commands for models and their versions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
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

if TYPE_CHECKING:
    from astralytiq.client import Client

app = group("model", "Models: list, show, describe, promote, export, upload, reproduce.")

UPLOAD_SECONDS = 3600

COLUMNS = ("name", "type", "accuracy", "f1_score", "status", "deployment_date", "avg_latency_ms")
VERSION_COLUMNS = ("version", "algorithm", "stage", "dataset", "seed", "metrics", "created_at")


@app.command("list")
@examples("astralytiq model list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List the models."""
    with connected(context) as client:
        show(client.every("/models"), COLUMNS, as_json=as_json)


@app.command("show")
@examples("astralytiq model show flowers")
def show_model(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show one model."""
    with connected(context) as client:
        show_one(client.get(f"/models/{name}"), as_json=as_json)


@app.command("describe")
@examples('astralytiq model describe iris_forest "Tells three species of iris apart."')
def describe_model(
    context: typer.Context, name: str, description: str, as_json: AsJson = False
) -> None:
    """Say of a model what it is for, and what it is not; an empty text takes that away."""
    with connected(context) as client:
        changed = client.patch(f"/models/{name}", json={"description": description or None})
        show_one(changed, as_json=as_json)


@app.command("versions")
@examples("astralytiq model versions flowers")
def list_versions(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """List the versions of a model."""
    with connected(context) as client:
        show(client.every(f"/models/{name}/versions"), VERSION_COLUMNS, as_json=as_json)


@app.command("stage")
@examples(
    """
    astralytiq model stage iris_forest 3 production
    astralytiq model stage iris_forest 4 production --gate accuracy --min-gain 0.01
    """
)
def set_stage(
    context: typer.Context,
    name: str,
    version: int,
    stage: str,
    gate: Annotated[
        str, typer.Option(help="A metric by which it must be as good as the one in production.")
    ] = "",
    min_gain: Annotated[float, typer.Option(help="How much better, at least.")] = 0.0,
    minimum: Annotated[
        float | None, typer.Option(help="What the metric must reach in any case.")
    ] = None,
    maximum: Annotated[
        float | None, typer.Option(help="The same for errors: what it must not exceed.")
    ] = None,
    allow_different_data: Annotated[
        bool,
        typer.Option(
            "--allow-different-data", help="Also compare what was measured on different rows."
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Judge both on the same rows first, and by that."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a version into production, staging, archived or none, if the gate lets it."""
    bounds = {"min_gain": min_gain or None, "minimum": minimum, "maximum": maximum,
              "allow_different_data": allow_different_data or None}  # fmt: skip
    given: dict[str, Any] = {option: value for option, value in bounds.items() if value is not None}
    if (given or compare) and not gate:
        fail("--min-gain, --minimum and the like belong to a gate: add --gate METRIC.", BAD_INPUT)
    path = f"/models/{name}/versions/{version}/stage"
    with connected(context) as client:
        if compare and has_champion(client, name, version):
            given["comparison"] = compared(client, name, version)["job_id"]
        body = {"stage": stage, **({"gate": {"metric": gate, **given}} if gate else {})}
        show_one(client.post(path, json=body), as_json=as_json)


@app.command("compare")
@examples(
    """
    astralytiq model compare iris_forest 4
    astralytiq model compare iris_forest 4 --other 2
    """
)
def compare_versions(
    context: typer.Context,
    name: str,
    version: int,
    other: Annotated[int, typer.Option(help="default: the version in production")] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge two versions on rows that neither was trained on."""
    with connected(context) as client:
        show_one(compared(client, name, version, other), as_json=as_json)


def has_champion(client: "Client", name: str, version: int) -> bool:
    """Besides this version."""
    shown = client.get(f"/models/{name}")
    return bool(shown["status"] == "production" and shown["version"] != version)


def compared(client: "Client", name: str, version: int, other: int = 0) -> dict[str, Any]:
    body = {"other": other} if other else {}
    asked = client.post(f"/models/{name}/versions/{version}/compare", json=body)
    follow(client, asked["job_id"], f"comparing {name}@{version}")
    return {"job_id": asked["job_id"], **client.get(f"/jobs/{asked['job_id']}")["result"]}


@app.command("rollback")
@examples("astralytiq model rollback iris_forest")
def roll_back(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Put the version into production that was there before."""
    with connected(context) as client:
        show_one(client.post(f"/models/{name}/rollback"), as_json=as_json)


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


@app.command("upload")
@examples("astralytiq model upload iris_elsewhere iris.onnx --signature iris.json")
def upload_version(
    context: typer.Context,
    name: str,
    file: Path,
    signature: Annotated[
        Path,
        typer.Option(
            help='JSON: {"features": [{"name": …}], "task": …, "target": …, "classes": […]}'
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Make a version of a model that was trained elsewhere: an ONNX file, or XGBoost's .ubj."""
    for needed in (file, signature):
        if not needed.is_file():
            fail(f"{needed} is no file.", BAD_INPUT)
    told = {"signature": signature.read_text(encoding="utf-8")}
    with connected(context) as client, file.open("rb") as content:
        files = {"file": (file.name, content)}
        path = f"/models/{name}/versions"
        asked = client.post(path, files=files, data=told, timeout=UPLOAD_SECONDS)
        found = follow(client, asked["job_id"], f"taking in {file.name}")["result"]
        show_one(client.get(f"{path}/{found['version']}"), as_json=as_json)


@app.command("reproduce")
@examples("astralytiq model reproduce iris_forest@3\nastralytiq model reproduce iris_forest 3")
def reproduce_version(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="its name, or NAME@VERSION")],
    version: Annotated[int | None, typer.Argument(show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Train a version again from what is kept of it, and compare the files byte for byte."""
    name, at, number = model.partition("@")
    if at and number.isdigit():
        version = int(number)
    if version is None:
        fail(f"Say which version of {name}: astralytiq model reproduce {name}@1", BAD_INPUT)
    with connected(context) as client:
        asked = client.post(f"/models/{name}/versions/{version}/reproduce")
        found = follow(client, asked["job_id"], f"training {name}@{version} again")["result"]
        show_one(found, as_json=as_json)
    if not found["reproduced"]:
        differs = "; ".join(found["differences"]) or "nothing that is kept of the environment"
        fail(f"{name}@{version} came out otherwise. What differs: {differs}.", FAILURE)
