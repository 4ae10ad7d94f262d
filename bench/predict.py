"""One-row predictions over HTTP, beside MLflow's and BentoML's servers, in one run.

A forest of 100 trees on 20 features, 5,000 rows. Ours is signed in, checks the row against the
signature and keeps every prediction for its trace; the others do none of that. 16 connections,
each server with one process on loopback. With `--peers` the others get virtual environments of
their own under `.bench-predict/`, made once.
"""

import argparse
import asyncio
import csv
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop
from loading import Load, ask, free_port, load, post, request, served
from numpy.typing import NDArray

from ml_core import RandomForestClassifier

ROWS, FEATURES, TREES = 5_000, 20, 100
NAMES = [f"x{number}" for number in range(FEATURES)]
CONNECTIONS = 16
BATCH = 1_000
PASSWORD = "a long password of the bench"  # pragma: allowlist secret
GOALS = {
    "ours, requests/s": "2,000 (moonshot 3,000)",
    "ours, model p50 ms": "0.2",
    "ours, 1,000 rows ms": "10 (moonshot 8)",
}
VENVS = Path(".bench-predict")
PEERS = {
    "mlflow": ["mlflow", "scikit-learn", "numpy"],
    "bentoml": ["bentoml", "scikit-learn", "numpy", "setuptools<81"],
}

TRAIN = """
import sys
import numpy as np
from sklearn.ensemble import RandomForestClassifier
data = np.load(sys.argv[1])
model = RandomForestClassifier(100, n_jobs=1, random_state=0).fit(data["X"], data["y"])
"""
SAVE_MLFLOW = (
    TRAIN
    + """
import mlflow.sklearn
mlflow.sklearn.save_model(model, sys.argv[2], pip_requirements=[], serialization_format="pickle")
"""
)
SAVE_BENTOML = (
    TRAIN
    + """
import bentoml
bentoml.sklearn.save_model("forest", model)
"""
)
BENTOML_SERVICE = """
import bentoml
import numpy as np

@bentoml.service(workers=1)
class Forest:
    def __init__(self) -> None:
        self.model = bentoml.sklearn.load_model("forest:latest")

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)
"""


def example() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FEATURES))
    y = (X[:, :6].sum(axis=1) + rng.normal(size=ROWS) > 0).astype(np.int64)
    return X, y


# Ours -------------------------------------------------------------------------------------------


async def trained(port: int, X: NDArray[np.float64], y: NDArray[np.int64]) -> str:
    """A token, once the model is trained and in production through the API."""
    sign_in = {"username": "admin", "password": PASSWORD}
    token = str((await post(port, "/api/v1/auth/login", sign_in))[1]["access_token"])
    dataset = await upload(port, token, X, y)
    asked = {
        "dataset_id": str(dataset),
        "target": "y",
        "algorithm": "random_forest",
        "params": {"n_estimators": TREES},
        "model_name": "forest",
        "features": NAMES,
    }
    job = (await signed(port, token, "POST", "/api/v1/ml/train", asked))["job_id"]
    found = await ended(port, token, job)
    if found["status"] != "succeeded":
        raise SystemExit(f"The training {found['status']}: {found['error']}")
    stage = {"stage": "production"}
    await signed(port, token, "POST", "/api/v1/models/forest/versions/1/stage", stage)
    return token


async def ended(port: int, token: str, job: str) -> Any:
    found: Any = {"status": "queued"}
    for _ in range(600):
        if found["status"] not in ("queued", "running"):
            break
        await asyncio.sleep(0.2)
        found = await signed(port, token, "GET", f"/api/v1/jobs/{job}")
    return found


async def signed(port: int, token: str, method: str, path: str, body: Any = None) -> Any:
    content = b"" if body is None else json.dumps(body).encode()
    message = request(method, path, port, f"Authorization: Bearer {token}", body=content)
    status, answer = await ask(port, message)
    if status >= 300:
        raise SystemExit(f"{method} {path}: {status} {answer.decode()[:300]}")
    return json.loads(answer)


async def upload(port: int, token: str, X: NDArray[np.float64], y: NDArray[np.int64]) -> int:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*NAMES, "y"])
    writer.writerows([*row, label] for row, label in zip(X.tolist(), y.tolist(), strict=True))
    content = text.getvalue().encode()
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="forest.csv"\r\n\r\n'
    body = part + content + b"\r\n--b--\r\n"
    lines = ["POST /api/v1/datasets/upload HTTP/1.1", f"Host: 127.0.0.1:{port}",
             f"Authorization: Bearer {token}", "Content-Type: multipart/form-data; boundary=b",
             f"Content-Length: {len(body)}"]  # fmt: skip
    status, answer = await ask(port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    if status != 201:
        raise SystemExit(f"The upload was refused: {status} {answer.decode()[:300]}")
    return int(json.loads(answer)["id"])


async def latencies(port: int, token: str, body: bytes) -> list[float]:
    """The `latency_ms` of 200 answers, one after the other: what the model's part takes."""
    headers = (f"Authorization: Bearer {token}",)
    message = request("POST", "/api/v1/models/forest/predict", port, *headers, body=body)
    return [json.loads((await ask(port, message))[1])["latency_ms"] for _ in range(200)]


async def one_after_another(port: int, message: bytes, repeats: int) -> float:
    """The median of a whole answer, in milliseconds."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        status, answer = await ask(port, message)
        found.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise SystemExit(f"{status} {answer.decode()[:300]}")
    return statistics.median(found)


async def ours(port: int, seconds: float, repeats: int) -> dict[str, float]:
    X, y = example()
    token = await trained(port, X, y)
    path, header = "/api/v1/models/forest/predict", f"Authorization: Bearer {token}"
    one = json.dumps({"instances": [X[0].tolist()]}).encode()
    many = json.dumps({"instances": X[:BATCH].tolist()}).encode()
    message = request("POST", path, port, header, body=one)
    loads = [await load(port, message, seconds, CONNECTIONS) for _ in range(repeats)]
    return {
        **described("ours", loads),
        "ours, model p50 ms": statistics.median(await latencies(port, token, one)),
        "ours, 1,000 rows ms": await one_after_another(
            port, request("POST", path, port, header, body=many), 50
        ),
    }


def described(name: str, loads: list[Load]) -> dict[str, float]:
    return {
        f"{name}, requests/s": statistics.median(one.a_second for one in loads),
        f"{name}, p50 ms": statistics.median(one.p50_ms for one in loads),
        f"{name}, p99 ms": statistics.median(one.p99_ms for one in loads),
    }


def in_process() -> dict[str, float]:
    """The bare model: one row, 1,000 rows."""
    X, y = example()
    model = RandomForestClassifier(TREES, random_state=0).fit(X, y)
    found = {}
    for name, rows, repeats in (("1 row", X[:1], 500), ("1,000 rows", X[:BATCH], 50)):
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            model.predict_proba(rows)
            times.append((time.perf_counter() - began) * 1000)
        found[f"in process, {name} ms"] = statistics.median(times)
    return found


# The others -------------------------------------------------------------------------------------


def venv_of(peer: str) -> Path:
    """Its own environment, made once."""
    folder = VENVS / peer
    python = folder / "bin/python"
    if not (folder / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS[peer]], check=True)
        (folder / "done").touch()
    return python.absolute()


@contextmanager
def mlflow_server(data: Path, folder: Path) -> Iterator[tuple[int, str, str]]:
    python, port = venv_of("mlflow"), free_port()
    model = folder / "mlflow-model"
    subprocess.run([str(python), "-c", SAVE_MLFLOW, str(data), str(model)], check=True,
                   capture_output=True)  # fmt: skip
    command = [str(python), "-m", "mlflow", "models", "serve", "-m", str(model), "-p", str(port),
               "--env-manager", "local", "--workers", "1"]  # fmt: skip
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    with served(command, port, "/ping", PATH=path), whole_tree_ends():
        yield port, "/invocations", "dataframe_split"


@contextmanager
def bentoml_server(data: Path, folder: Path) -> Iterator[tuple[int, str, str]]:
    python, port = venv_of("bentoml"), free_port()
    home = folder / "bentoml"
    environment = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    subprocess.run([str(python), "-c", SAVE_BENTOML, str(data)], check=True, capture_output=True,
                   env={**os.environ, **environment})  # fmt: skip
    (folder / "service.py").write_text(BENTOML_SERVICE)
    command = [str(python), "-m", "bentoml", "serve", "service:Forest", "--port", str(port),
               "--working-dir", str(folder)]  # fmt: skip
    with served(command, port, "/livez", **environment), whole_tree_ends():
        yield port, "/predict", "rows"


@contextmanager
def whole_tree_ends() -> Iterator[None]:
    """These servers start processes of their own, which outlive a signal to the first."""
    try:
        yield
    finally:
        children = psutil.Process().children(recursive=True)
        for child in children:
            child.terminate()
        psutil.wait_procs(children, 20)


def body_of(form: str, rows: NDArray[np.float64]) -> bytes:
    if form == "rows":
        return json.dumps({"rows": rows.tolist()}).encode()
    return json.dumps({"dataframe_split": {"columns": NAMES, "data": rows.tolist()}}).encode()


async def peer_load(
    name: str, port: int, path: str, form: str, seconds: float, repeats: int
) -> dict[str, float]:
    X, _ = example()
    message = request("POST", path, port, body=body_of(form, X[:1]))
    await one_after_another(port, message, 5)
    loads = [await load(port, message, seconds, CONNECTIONS) for _ in range(repeats)]
    many = request("POST", path, port, body=body_of(form, X[:BATCH]))
    return {
        **described(name, loads),
        f"{name}, 1,000 rows ms": await one_after_another(port, many, 20),
    }


# All of it --------------------------------------------------------------------------------------


def measure_ours(folder: Path, seconds: float, repeats: int) -> dict[str, float]:
    port = free_port()
    command = [sys.executable, "-m", "astralytiq.cli", "up", "--empty", "--home",
               str(folder / "home"), "--port", str(port)]  # fmt: skip
    settings = {"ADMIN_PASSWORD": PASSWORD, "LOG_LEVEL": "ERROR"}
    with served(command, port, "/api/v1/health/ready", **settings):
        return uvloop.run(ours(port, seconds, repeats))


def measure_peers(folder: Path, seconds: float, repeats: int) -> dict[str, float]:
    X, y = example()
    data = folder / "data.npz"
    np.savez(data, X=X, y=y)
    found: dict[str, float] = {}
    for name, server in (("MLflow", mlflow_server), ("BentoML", bentoml_server)):
        with server(data, folder) as (port, path, form):
            found |= uvloop.run(peer_load(name, port, path, form, seconds, repeats))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="measure MLflow and BentoML, too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        found = in_process() | measure_ours(folder, arguments.seconds, arguments.repeats)
        if arguments.peers:
            found |= measure_peers(folder, arguments.seconds, arguments.repeats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, value in found.items():
        goal = f"   goal {GOALS[name]}" if name in GOALS else ""
        print(f"{name:26}{value:12.3f}{goal}")  # noqa: T201 - a bench prints
    for peer in ("MLflow", "BentoML"):
        if (theirs := found.get(f"{peer}, requests/s")) is not None:
            ratio = found["ours, requests/s"] / theirs
            print(f"ours over {peer}: {ratio:.1f} x")  # noqa: T201 - a bench prints


if __name__ == "__main__":
    main()
