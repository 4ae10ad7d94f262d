"""The guide to lineage runs as it stands."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.test_documents import ROOT, blocks

GUIDE = "docs/guides/lineage.md"


def test_the_guide_to_lineage_walks_down_and_back(tmp_path: Path) -> None:
    script = "\n".join(blocks(GUIDE, "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ASTRALYTIQ_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    down, up, back = (
        done.stdout.index(told)
        for told in (
            "source iris made:",
            "dataset_version 1@1 (rows 150) came of:",
            "came of:\n  dep",
        )
    )
    for kind in ("run ", "raw ", "records ", "training_run ", "model_version iris_tree@1",
                 "deployment iris_tree@1"):  # fmt: skip
        assert down < done.stdout.index(f"  {kind}", down) < up
        assert done.stdout.index(f"  {kind}", back)
    trace = json.loads(done.stdout[done.stdout.rindex("\n{\n") :])
    assert trace["records"][0]["raw"].startswith("/api/v1/data/")
