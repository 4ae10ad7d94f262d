"""The guides to dashboards, live updates and alerts run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.servers import free_port
from tests.journeys.test_documents import ROOT, blocks
from tests.journeys.test_guides import CLEAN


def done_as_told(guide: str, home: Path, **ports: str) -> str:
    script = CLEAN + "\n".join(blocks(f"docs/guides/{guide}.md", "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ASTRALYTIQ_HOME": str(home), **ports}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_to_dashboards_shows_what_it_says(tmp_path: Path) -> None:
    told = done_as_told("dashboards", tmp_path / "home", DASHBOARD_PORT=str(free_port()))
    words = " ".join(told.split())
    assert "bar Petals 3 rows" in words
    assert "table The longest 5 rows" in words
    assert "Flowers (copy)" in told
    assert "snapshot of ['runs']" in told
    assert "run of iris success" in told


def test_the_guide_to_alerts_tells_the_pager_twice(tmp_path: Path) -> None:
    ports = {"ALERTS_PORT": str(free_port()), "HOOK_PORT": str(free_port())}
    told = done_as_told("alerts", tmp_path / "home", **ports)
    assert blocks("docs/guides/alerts.md", "text")[0] in told
    assert "calling the driver" in told
