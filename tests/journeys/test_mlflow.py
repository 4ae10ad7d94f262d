"""MLflow's own client, in a process of its own, against our server: as the guide has it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from astralytiq.client import Client, ClientError
from tests.journeys.guides import ROOT, blocks
from tests.journeys.servers import Server, served

GUIDE = "docs/guides/mlflow.md"
NAME = "iris_elsewhere"
# With each token reading, then writing; what MLflow's client says of it.
ATTEMPTS = """
import os, sys
import mlflow
for token in sys.argv[1:]:
    os.environ["MLFLOW_TRACKING_TOKEN"] = token
    for attempt in (
        lambda: mlflow.MlflowClient().search_experiments(),
        lambda: mlflow.MlflowClient().create_experiment("not mine to make"),
    ):
        try:
            attempt()
            print("done")
        except Exception as error:
            print(str(error).replace(chr(10), " "))
"""


def test_an_unmodified_client_logs_registers_and_reads_with_a_key_and_not_without(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "home", "demo", "--empty", cwd=ROOT) as server:
        told = guided(server)
        (expected,) = (block for block in blocks(GUIDE, "text"))
        assert expected in told
        with server.signed_in() as client:
            the_version_is_external_and_never_loaded(client)
            (logged, run) = reversed(client.get("/mlflow/runs")["runs"])
            assert (logged["run_name"], logged["metrics"]["accuracy"]) == ("churn", 0.91)
            assert (run["run_name"], run["experiment"]) == ("logistic", "elsewhere")
            reader = who_has_no_right_is_refused(server, client)
            no_file_leaves_as_a_page_of_ours(server, reader, run["run_id"])


def environment(server: Server, **more: str) -> Mapping[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**os.environ, **quiet, "PATH": path, **more}


def guided(server: Server) -> str:
    script = "\n".join(blocks(GUIDE, "bash")).replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def the_version_is_external_and_never_loaded(client: Client) -> None:
    version = client.get(f"/models/{NAME}/versions/1")
    assert (version["algorithm"], version["mlflow_version"]) == ("external", "1")
    assert (version["sha256"], version["dataset"], version["seed"]) == ("", "", None)
    assert version["metrics"]["accuracy"] > 0.9
    for path, body in (
        ("predict", {"records": [{"a": 1}]}),
        ("stage", {"stage": "production"}),
        ("reproduce", {}),
    ):
        with pytest.raises(ClientError) as refused:
            client.post(f"/models/{NAME}/versions/1/{path}", json=body)
        assert refused.value.status == 409
        if path != "reproduce":
            assert "ONNX" in refused.value.detail


def who_has_no_right_is_refused(server: Server, client: Client) -> str:
    """The key of one who may only read."""
    made: dict[str, Any] = {
        name: client.post("/api-keys", json={"name": name, "scopes": scopes})
        for name, scopes in (
            ("revoked", ["models:read", "models:write"]),
            ("viewer", ["models:read"]),
        )
    }
    client.delete(f"/api-keys/{made['revoked']['id']}")
    reader: str = made["viewer"]["key"]
    refused, read_only = [401, 401], [200, 403]
    told = attempts(server, made["revoked"]["key"], "", reader)
    assert told == refused + refused + read_only
    return reader


def attempts(server: Server, *tokens: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, *tokens],
        env=environment(server, MLFLOW_TRACKING_URI=f"{server.url}/mlflow"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    found = [next((code for code in (401, 403) if str(code) in line), 200) for line in lines]
    assert [line == "done" for line in lines] == [code == 200 for code in found], lines
    return found


def no_file_leaves_as_a_page_of_ours(server: Server, key: str, run_id: str) -> None:
    file = httpx2.get(
        f"{server.url}/mlflow/get-artifact",
        params={"run_uuid": run_id, "path": "notes/how it was measured.txt"},
        headers={"X-API-Key": key},
    )
    assert file.text.startswith("Measured")
    assert "sandbox" in file.headers["content-security-policy"]
    assert file.headers["content-disposition"].startswith("attachment")
