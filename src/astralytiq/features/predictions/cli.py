"""Commands for predictions."""

import json
from typing import Annotated

import typer

from astralytiq.terminal import BAD_INPUT, AsJson, connected, examples, fail, group, show_one

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


@app.command("trace")
def trace(context: typer.Context, prediction_id: str, as_json: AsJson = False) -> None:
    """Walk a prediction back: model version, training, data set version, source and runs."""
    with connected(context) as client:
        show_one(client.get(f"/predictions/{prediction_id}/trace"), as_json=as_json)
