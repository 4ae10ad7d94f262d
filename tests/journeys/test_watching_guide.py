"""The guide to watching models runs as it stands, on a server: its commands start quicker."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.servers import served
from tests.journeys.test_batch_guide import ADMIN, token_of
from tests.journeys.test_documents import ROOT, blocks

GUIDE = "docs/guides/watching-models.md"


def test_the_guide_to_watching_models_sees_what_it_says(tmp_path: Path) -> None:
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
    assert "iris_tree: running version 2, share 1" in said
    assert "new 150 replaced 0 unchanged 0" in said
    first, second = said.split("iris_tree: ok, from ")[1].split("iris_tree: drift, from ")
    assert "1 production ok 2 151 " in first
    assert "1 production drift 3 301 " in second
    assert "petal_length_cm: drift, PSI" in second
    (answer,) = tmp_path.glob("tmp.*/one.json")
    assert json.loads(answer.read_text())["predictions"] == ["virginica"]
