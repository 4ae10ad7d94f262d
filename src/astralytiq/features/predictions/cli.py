"""Commands for predictions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astralytiq.terminal import (
    BAD_INPUT,
    AsJson,
    connected,
    examples,
    fail,
    follow,
    group,
    show_one,
)

from . import outcome_files

if TYPE_CHECKING:
    from astralytiq.client import Client

app = group("predict", "Ask a model, and walk a prediction back to its source.")


@app.command("run")
@examples(
    """
    astralytiq predict run iris_forest --record '{"petal_length_cm": 4.7, "sepal_width_cm": 3}'
    astralytiq predict run iris_forest --file rows.json --json
    """
)
def predict(
    context: typer.Context,
    model: str,
    record: Annotated[
        list[str] | None, typer.Option(help="A JSON object of features (repeat).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help='JSON as over HTTP: {"records": […]} or {"instances": […]}.')
    ] = None,
    version: Annotated[int, typer.Option(help="default: the production version")] = 0,
    as_json: AsJson = False,
) -> None:
    """Predict for one or more records."""
    if (file is None) == (not record):
        fail("give --record, or --file", BAD_INPUT)
    try:
        body = (
            json.loads(file.read_text()) if file else {"records": [*map(json.loads, record or ())]}
        )
    except (OSError, ValueError) as error:
        fail(f"{file or '--record'} takes JSON: {error}", BAD_INPUT)
    path = f"/models/{model}/versions/{version}/predict" if version else f"/models/{model}/predict"
    with connected(context) as client:
        show_one(client.post(path, json=body), as_json=as_json)


@app.command("batch")
@examples(
    """
    astralytiq predict batch iris_forest --dataset 7@2 --wait
    astralytiq predict batch iris_forest --dataset 7 --version 3 --column id --name judged
    """
)
def predict_batch(
    context: typer.Context,
    model: str,
    dataset: Annotated[str, typer.Option(help="ID or ID@VERSION")],
    version: Annotated[int, typer.Option(help="default: the production version")] = 0,
    name: Annotated[
        str, typer.Option(help="of the data set for the answers; default: '<data set> by <model>'")
    ] = "",
    column: Annotated[
        list[str] | None, typer.Option(help="An input column to keep (repeat); default: all.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until it is done; else 'astralytiq job show' tells.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict for a whole data set version; the answers are a version of a data set."""
    given = {"version": version, "name": name, "columns": column}
    body = {"dataset_id": dataset, **{key: value for key, value in given.items() if value}}
    with connected(context) as client:
        asked = client.post(f"/models/{model}/predict-batch", json=body)
        if wait:
            asked = follow(client, asked["job_id"], f"predicting {dataset}")["result"]
        show_one(asked, as_json=as_json)


@app.command("trace")
@examples("astralytiq predict trace 01a1f8a6-bdd9-75f1-add1-f955d2c53c90")
def trace(context: typer.Context, prediction_id: str, as_json: AsJson = False) -> None:
    """Walk a prediction back: model version, training, data set version, source and runs."""
    with connected(context) as client:
        show_one(client.get(f"/predictions/{prediction_id}/trace"), as_json=as_json)


@app.command("outcome")
@examples(
    """
    astralytiq predict outcome 01a1f8a6-bdd9-75f1-add1-f955d2c53c90 virginica
    astralytiq predict outcome --file outcomes.csv --model iris_forest
    """
)
def tell_outcome(
    context: typer.Context,
    prediction_id: Annotated[str, typer.Argument(help="of a prediction")] = "",
    outcome: Annotated[
        str, typer.Argument(help="Its label, or JSON: 3.5, true, a list with one for each row.")
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="CSV: prediction_id, outcome and, if wanted, row.")
    ] = None,
    model: Annotated[str, typer.Option(help="whose predictions the file names")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell what was true in the end: of one prediction, or of those that a file names."""
    if (file is None) == (not outcome) or (file and (prediction_id or not model)):
        fail("give ID and OUTCOME, or --file and --model", BAD_INPUT)
    with connected(context) as client:
        if file:
            show_one(told_by_file(client, model, file), as_json=as_json)
            return
        classes = client.get(f"/predictions/{prediction_id}")["outputs"]["classes"]
        told = outcome_files.meant(outcome, classes)
        body = {"outcomes" if isinstance(told, list) else "outcome": told}
        show_one(client.post(f"/predictions/{prediction_id}/outcome", json=body), as_json=as_json)


def told_by_file(client: "Client", model: str, file: Path) -> dict[str, Any]:
    newest = client.get(f"/models/{model}")["version"]
    classes = client.get(f"/models/{model}/versions/{newest}")["classes"]
    try:
        outcomes = list(outcome_files.read(file, classes))
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}", BAD_INPUT)
    stored: dict[str, Any] = {"model": model, "new": 0, "replaced": 0, "unchanged": 0}
    for part in outcome_files.parts(outcomes):
        found = client.post(f"/models/{model}/outcomes", json={"outcomes": part})
        stored |= {name: stored[name] + found[name] for name in ("new", "replaced", "unchanged")}
    return stored
