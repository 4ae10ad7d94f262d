"""The guide to batches and promotion runs as it stands, on a server: its commands start quicker."""

import os
import subprocess
import sys
from pathlib import Path

from astralytiq.client import Client
from tests.journeys.servers import Server, served
from tests.journeys.test_documents import ROOT, blocks

GUIDE = "docs/guides/batch-and-promotion.md"
WORDS = "a password for the guide"
ADMIN = {"email": "admin@example.com", "password": WORDS}


def token_of(server: Server) -> str:
    with Client(server.url) as client:
        return str(client.post("/auth/login", json=ADMIN)["access_token"])


def test_the_guide_to_batches_and_promotion_does_what_it_says(tmp_path: Path) -> None:
    script = "\n".join(blocks(GUIDE, "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    account = {f"ADMIN_{name.upper()}": value for name, value in ADMIN.items()}
    with served(tmp_path / "home", "up", cwd=ROOT, **account) as server:
        there = {"ASTRALYTIQ_SERVER": server.url, "ASTRALYTIQ_TOKEN": token_of(server)}
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path), **there},
            capture_output=True,
            text=True,
        )
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, said + done.stderr
    assert "rows 150 skipped 0" in said
    assert "rows 2 skipped 1" in said
    assert 'renamed {"prediction": "prediction_2"}' in said
    assert "param.max depth" in said
    assert "dataset_version 2@1 (rows 150) came of: batch_prediction" in said
    refused = "Version 2 of 'iris_forest' does not pass the gate: its accuracy is"
    assert refused in done.stderr
    assert "version 2 stays where it is" in said
    assert "measured on different rows" in said
    assert "dataset: 1@2 and 1@1" in done.stderr
    assert "is_checked True" in said
    listed = said[said.rindex("version algorithm stage") :]
    assert "2 random_forest archived" in listed
    assert "3 random_forest none" in listed
    assert "1 random_forest production" in listed
