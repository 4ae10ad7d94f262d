"""Commands for runs in MLflow."""

from typing import Annotated

import typer

from astralytiq.terminal import AsJson, connected, examples, group, show, show_one

app = group("mlflow", "Runs in MLflow: list them, log figures of a model.")

Share = Annotated[float, typer.Option(min=0, max=1)]
COLUMNS = ("run_id", "run_name", "experiment", "status", "start_time", "metrics")


@app.command("runs")
@examples("astralytiq mlflow runs --limit 10")
def list_runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="1 to 1000", min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest runs, those of other MLflow clients included."""
    with connected(context) as client:
        found = client.get("/mlflow/runs", params={"max_results": limit})
        show(found["runs"], COLUMNS, as_json=as_json)


@app.command("log")
@examples("astralytiq mlflow log --accuracy 0.91 --precision 0.9 --recall 0.88 --model churn")
def log_metrics(
    context: typer.Context,
    accuracy: Share,
    precision: Share,
    recall: Share,
    f1_score: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    model: Annotated[str | None, typer.Option(help="What the figures are of.")] = None,
    experiment: str | None = None,
    as_json: AsJson = False,
) -> None:
    """Log figures of a model (each 0 to 1) as a run."""
    given = {
        "accuracy": accuracy,
        "precision": precision,
        "recall": recall,
        "f1_score": f1_score,
        "model_name": model,
        "experiment": experiment,
    }
    body = {name: value for name, value in given.items() if value is not None}
    with connected(context) as client:
        show_one(client.post("/metrics/model", json=body), as_json=as_json)
