"""The guide to monitoring runs as it stands, and says what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.journeys.servers import free_port
from tests.journeys.test_documents import ROOT, blocks
from tests.journeys.test_guides import CLEAN

GUIDE = "docs/guides/monitoring.md"


def test_the_guide_to_monitoring_tells_how_a_server_is(tmp_path: Path) -> None:
    script = CLEAN + "\n".join(blocks(GUIDE, "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {
        "ASTRALYTIQ_HOME": str(tmp_path / "home"),
        "MONITORING_PORT": str(free_port()),
        "COLLECTOR_PORT": str(free_port()),
    }
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "database healthy" in said
    assert re.search(r"GET /data 3 0 ", said)
    passed = re.search(r"(\d+) of (\d+) tests passed", said)
    assert passed
    assert passed[1] == passed[2]
    assert 'astralytiq_http_requests_total{method="GET",outcome="ok",path="/data"} 3.0' in said
    assert "a span came: POST /api/v1/sources/{name}/run" in said
    assert "a span came: job ingestion.run" in said
