"""Commands for predictions."""

import json
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
    show_one,
)

app = group("predict", "Ask a model, and walk a prediction back to its source.")


@app.command("run")
@examples(
    'astralytiq predict run iris_forest --record \'{"petal_length_cm": 4.7, "sepal_width_cm": 3}\''
)
def predict(
    context: typer.Context,
    model: str,
    record: Annotated[list[str], typer.Option(help="A JSON object of features (repeat).")],
    version: Annotated[int, typer.Option(help="default: the production version")] = 0,
    as_json: AsJson = False,
) -> None:
    """Predict for one or more records."""
    try:
        records = [json.loads(text) for text in record]
    except ValueError as error:
        fail(f"--record takes a JSON object: {error}", BAD_INPUT)
    path = f"/models/{model}/versions/{version}/predict" if version else f"/models/{model}/predict"
    with connected(context) as client:
        show_one(client.post(path, json={"records": records}), as_json=as_json)


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
def trace(context: typer.Context, prediction_id: str, as_json: AsJson = False) -> None:
    """Walk a prediction back: model version, training, data set version, source and runs."""
    with connected(context) as client:
        show_one(client.get(f"/predictions/{prediction_id}/trace"), as_json=as_json)
