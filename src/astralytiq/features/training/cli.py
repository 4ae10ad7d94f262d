"""Commands for training."""

from typing import Annotated, Any

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

app = group("train", "Train a model on a version of a data set.")


def number_or_text(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def read_params(pairs: list[str]) -> dict[str, Any]:
    for pair in pairs:
        if "=" not in pair:
            fail(f"--param takes name=value, not {pair!r}.", BAD_INPUT)
    return {name: number_or_text(value) for name, value in (pair.split("=", 1) for pair in pairs)}


def read_search(grid: list[str], draw: list[str], iterations: int) -> dict[str, Any]:
    if grid and draw:
        fail("Give --grid or --draw, not both.", BAD_INPUT)
    if draw:
        return {"random": {**read_choices(draw), "n_iter": iterations}}
    return {"grid": read_choices(grid)} if grid else {}


def read_choices(pairs: list[str]) -> dict[str, list[Any]]:
    """name=1,2,none"""
    for pair in pairs:
        if "=" not in pair:
            fail(f"--grid and --draw take name=value,value, not {pair!r}.", BAD_INPUT)
    parts = (pair.split("=", 1) for pair in pairs)
    return {name: [number_or_text(value) for value in values.split(",")] for name, values in parts}


@app.command("run")
@examples("astralytiq train run iris_forest --dataset 7@2 --target species --param n_estimators=50")
def train(
    context: typer.Context,
    model: str,
    dataset: Annotated[str, typer.Option(help="ID or ID@VERSION")],
    target: Annotated[
        str | None, typer.Option(help="The column to predict; clustering has none.")
    ] = None,
    algorithm: Annotated[str, typer.Option(help="see GET /api/v1/ml/")] = "random_forest",
    feature: Annotated[list[str] | None, typer.Option(help="A column to use (repeat).")] = None,
    param: Annotated[list[str] | None, typer.Option(help="name=value (repeat).")] = None,
    cv_folds: Annotated[
        int | None, typer.Option(help="Cross-validate in so many folds, 2 to 20.")
    ] = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="Try all of name=value,value,… (repeat).")
    ] = None,
    draw: Annotated[
        list[str] | None, typer.Option(help="Try random ones of name=value,value,… (repeat).")
    ] = None,
    iterations: Annotated[int, typer.Option(help="How many --draw tries.")] = 10,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Train, wait for the end, and show the new model version."""
    body: dict[str, Any] = {
        "model_name": model,
        "dataset_id": dataset,
        "target": target,
        "algorithm": algorithm,
        "params": read_params(param or []),
        "seed": seed,
    }
    if feature:
        body["features"] = feature
    if cv_folds is not None:
        body["cv_folds"] = cv_folds
    if search := read_search(grid or [], draw or [], iterations):
        body["search"] = search
    with connected(context) as client:
        asked = client.post("/ml/train", json=body)
        job = follow(client, asked["job_id"], f"training {model}")
        show_one(job["result"], as_json=as_json)


@app.command("drowsiness")
@examples("""
astralytiq train drowsiness
astralytiq train drowsiness --rows 5000 --seed 7 --name drowsiness_of_5000
""")
def train_drowsiness(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=100, max=20_000, help="Minutes to make up.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the data and of the training.")] = 0,
    name: Annotated[str, typer.Option(help="The model that gets a version.")] = (
        "drowsiness_detector"
    ),
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make data of drivers' eyes up, and train a forest that tells the drowsy from the alert.

    Nobody was measured for it: it shows how the platform works, and makes no claim of safety.
    """
    body = {
        "model_name": name,
        "dataset_id": f"synthetic:drowsiness?rows={rows}&seed={seed}",
        "target": "state",
        "algorithm": "random_forest",
        "seed": seed,
    }
    with connected(context) as client:
        asked = client.post("/ml/train", json=body)
        if not wait:
            show_one(asked, as_json=as_json)
            return
        job = follow(client, asked["job_id"], f"training {name}")
        result = job["result"]
        show_one(result if as_json else in_lines(result), as_json=as_json)


def in_lines(result: dict[str, Any]) -> dict[str, Any]:
    """A line for each metric, which are of the rows that were held out."""
    metrics = {f"held-out {metric}": value for metric, value in result["metrics"].items()}
    return {key: value for key, value in result.items() if key != "metrics"} | metrics
