"""The guide to telemetry runs as it stands, and says what it shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.servers import free_port
from tests.journeys.test_documents import ROOT, blocks
from tests.journeys.test_guides import CLEAN

GUIDE = "docs/guides/telemetry.md"


def test_the_guide_to_telemetry_posts_reads_and_forgets(tmp_path: Path) -> None:
    script = CLEAN + "\n".join(blocks(GUIDE, "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    home = {"ASTRALYTIQ_HOME": str(tmp_path / "home"), "TELEMETRY_PORT": str(free_port())}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **home},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = blocks(GUIDE, "text")
    assert shown.strip() in done.stdout
    assert done.stdout.count('"event_id":"drive-1/1"') == 2
    assert '"events_logged":2' in done.stdout
    assert "body.events.0.ear_value" in done.stdout
    assert "simulated-0" in done.stdout
    # 12 s of 52, or 15.5 of 55.5 where the minute is that of the first event, too.
    assert any(share in done.stdout for share in ("0.2308", "0.2793"))
    assert "dataset_version 1@1" in done.stdout
    assert "deleted cab-7 and 3 events" in done.stdout
    left = json.loads(done.stdout[done.stdout.rindex("\n{\n") :])
    assert left["total_events"] > 200
