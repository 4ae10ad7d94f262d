"""Log a run and register a model with MLflow's own client: nothing in here knows AstralytiQ.

export MLFLOW_TRACKING_URI=http://127.0.0.1:8000/mlflow
export MLFLOW_TRACKING_TOKEN=ak_...   # an API key with models:read and models:write
python examples/log_with_mlflow.py
"""
# ruff: noqa: T201 - it is read at a terminal

import mlflow
from mlflow.data.numpy_dataset import from_numpy
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

NAME = "iris_elsewhere"


def main() -> None:
    features, species = load_iris(return_X_y=True)
    train, test, known, truth = train_test_split(features, species, random_state=0)
    mlflow.set_experiment("elsewhere")
    with mlflow.start_run(run_name="logistic") as run:
        model = LogisticRegression(max_iter=500).fit(train, known)
        mlflow.log_params({"max_iter": 500, "penalty": "l2"})
        mlflow.log_metric("accuracy", model.score(test, truth))
        for step, share in enumerate((0.25, 0.5, 1.0), start=1):
            rows = int(len(train) * share)
            part = LogisticRegression(max_iter=500).fit(train[:rows], known[:rows])
            mlflow.log_metric("learning_curve", part.score(test, truth), step=step)
        mlflow.log_input(from_numpy(train, targets=known, name="iris"), "training")
        mlflow.log_text("Measured on a quarter of the flowers.", "notes/how it was measured.txt")
        mlflow.sklearn.log_model(
            model, name="model", registered_model_name=NAME, pip_requirements=["scikit-learn"]
        )
    read_back(run.info.run_id)


def read_back(run_id: str) -> None:
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert run.inputs
    (used,) = run.inputs.dataset_inputs
    note = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/how it was measured.txt")
    version = client.search_model_versions(f"name = '{NAME}'", max_results=1)[0]
    client.set_registered_model_alias(NAME, "candidate", version.version)
    loaded = mlflow.sklearn.load_model(f"models:/{NAME}@candidate")
    print(f"run {run.info.run_name}: accuracy {run.data.metrics['accuracy']:.3f}")
    print(f"on {used.dataset.name}, with the note: {note}")
    print(f"registered {NAME} {version.version}, which is a {type(loaded).__name__}")


if __name__ == "__main__":
    main()
