"""From a file to a prediction that can name its sources, over HTTP, with nothing but Python.

Start a server first (`make demo`), then run this beside it:

    python examples/quickstart.py
    python examples/quickstart.py --url http://127.0.0.1:9000 --user you@example.com --password …

It registers `examples/data/iris.csv` as a source, runs it, freezes the records as a data set
version, trains a random forest on it, promotes the model, asks it for a prediction, and walks the
prediction back to the run that brought the data. It can be run again: the second time the source
and the data set are there already and get a new run and a new version. Any surprise ends it with
exit code 1.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any, NoReturn

SOURCE = {
    "kind": "csv",
    "name": "quickstart_iris",
    "path": "data/iris.csv",  # below SOURCE_ROOTS: ./examples of the server's working directory
    "primary_key": "id",
}
FEATURES = ["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm"]
MODEL = "quickstart_iris_forest"
FLOWER = dict(zip(FEATURES, (5.9, 3.0, 5.1, 1.8), strict=True))  # row 150, a virginica
PATIENCE = 120.0


def give_up(words: str) -> NoReturn:
    sys.exit(f"quickstart: {words}")


class Api:
    """The few lines of HTTP that the journey needs."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.token = ""

    def call(self, method: str, path: str, body: Any = None, *, known: tuple[int, ...] = ()) -> Any:
        """The JSON of the answer; None for a refusal whose status is in `known`."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code in known:
                return None
            give_up(f"{method} {path} answered {error.code}: {error.read().decode()[:500]}")
        except OSError as error:
            give_up(f"{self.url} does not answer ({error}): start a server with 'make demo'")

    def wait(self, job_id: str) -> dict[str, Any]:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            job: dict[str, Any] = self.call("GET", f"/api/v1/jobs/{job_id}")
            if job["status"] == "succeeded":
                return job
            if job["status"] in ("failed", "cancelled"):
                give_up(f"the job {job['kind']} {job['status']}: {job['error']}")
            time.sleep(0.2)
        give_up(f"the job {job_id} did not end within {PATIENCE:g} s")


def say(step: str, result: str) -> None:
    sys.stdout.write(f"{step:<10} {result}\n")


def expect(holds: bool, words: str) -> None:
    if not holds:
        give_up(f"surprise: {words}")


def sign_in(api: Api, user: str, password: str) -> None:
    health = api.call("GET", "/health")
    expect(health["status"] == "healthy", f"the server says {health['status']}")
    answer = api.call("POST", "/api/v1/auth/login", {"email": user, "password": password})
    api.token = answer["access_token"]
    say("sign in", f"{answer['user']['name']} ({answer['user']['role']}) on {health['version']}")


def ingest(api: Api) -> None:
    """Register the source unless it is there, run it, and see that every row arrived once."""
    path = f"/api/v1/sources/{SOURCE['name']}"
    if api.call("GET", path, known=(404,)) is None:
        api.call("POST", "/api/v1/sources", SOURCE)
    run = api.call("POST", f"{path}/run")
    api.wait(run["job_id"])
    run = api.call("GET", f"/api/v1/etl/runs/{run['run_id']}")
    page = api.call("GET", f"/data?source={SOURCE['name']}&limit=1")
    expect(run["status"] == "success", f"the run ended as {run['status']}")
    expect(run["records_processed"] == page["total_count"] == 150, f"{page['total_count']} records")
    counts = f"{run['records_inserted']} new, {run['records_updated']} changed"
    say(
        "ingest",
        f"{page['total_count']} records of {SOURCE['name']} ({counts}), run {run['run_id']}",
    )
    stats = api.call("GET", "/stats")
    say("stats", f"{stats['total_records_processed']} records processed in all runs so far")


def freeze(api: Api) -> str:
    """The records as an immutable version; its reference, such as 3@1."""
    body = {"name": SOURCE["name"], "from_records": {"source": SOURCE["name"]}}
    made = api.call("POST", "/api/v1/datasets", body, known=(409,))
    if made is None:
        listed = api.call("GET", "/api/v1/datasets?limit=1000")
        known = next(d for d in listed if d["name"] == SOURCE["name"])
        made = api.call("POST", f"/api/v1/datasets/{known['id']}/versions") | {"id": known["id"]}
    api.wait(made["job_id"])
    dataset = api.call("GET", f"/api/v1/datasets/{made['id']}")
    expect(dataset["rows"] == 150, f"the data set has {dataset['rows']} rows")
    reference = f"{dataset['id']}@{dataset['version']}"
    say("freeze", f"data set {reference}: {dataset['rows']} rows x {dataset['columns']} columns")
    return reference


def train(api: Api, reference: str) -> int:
    asked = api.call(
        "POST",
        "/api/v1/ml/train",
        {
            "algorithm": "random_forest",
            "dataset_id": reference,
            "target": "species",
            "features": FEATURES,
            "params": {"n_estimators": 50},
            "model_name": MODEL,
            "seed": 7,
        },
    )
    result: dict[str, Any] = api.wait(asked["job_id"])["result"]
    accuracy = result["metrics"]["accuracy"]
    expect(accuracy > 0.85, f"an accuracy of {accuracy}")
    say("train", f"{MODEL} version {result['version']}: accuracy {accuracy:.3f} on held-out rows")
    return int(result["version"])


def promote(api: Api, version: int) -> None:
    path = f"/api/v1/models/{MODEL}/versions/{version}/stage"
    stage = api.call("POST", path, {"stage": "production"})["stage"]
    expect(stage == "production", f"the version is in stage {stage}")
    say("promote", f"version {version} is in production")


def predict(api: Api) -> str:
    answer = api.call("POST", f"/api/v1/models/{MODEL}/predict", {"records": [FLOWER]})
    expect(answer["predictions"] == ["virginica"], f"the flower is a {answer['predictions']}")
    say("predict", f"{answer['predictions'][0]} in {answer['latency_ms']:.2f} ms")
    return str(answer["prediction_id"])


def trace(api: Api, prediction_id: str, version: int, reference: str) -> None:
    """The prediction names its model, version, data set version and source run."""
    found = api.call("GET", f"/api/v1/predictions/{prediction_id}/trace")
    model, dataset, origin = found["model"], found["dataset"], found["origin"]
    expect((model["name"], model["version"]) == (MODEL, version), f"it names {model}")
    expect(f"{dataset['id']}@{dataset['version']}" == reference, f"it names {dataset}")
    expect(origin["source"] == SOURCE["name"], f"it names {origin}")
    # An unchanged record keeps the run that wrote it: a repeated journey may name an older run.
    expect(bool(origin["run_ids"]), "it names no run")
    runs = [api.call("GET", f"/api/v1/etl/runs/{run_id}") for run_id in origin["run_ids"]]
    expect(all(run["source"] == SOURCE["name"] for run in runs), f"these are not its runs: {runs}")
    say("trace", f"prediction {prediction_id}")
    say("", f"<- model {model['name']} version {model['version']} (sha256 {model['sha256'][:12]}…)")
    say("", f"<- data set {dataset['name']} version {dataset['version']}")
    say("", f"<- source {origin['source']}, run {', '.join(origin['run_ids'])}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="data.scientist@astralytiq.com")
    parser.add_argument("--password", default="ds123")
    given = parser.parse_args()

    api = Api(given.url)
    sign_in(api, given.user, given.password)
    ingest(api)
    reference = freeze(api)
    version = train(api, reference)
    promote(api, version)
    trace(api, predict(api), version, reference)
    say("done", "from a file to a prediction that can name its sources")


if __name__ == "__main__":
    main()
