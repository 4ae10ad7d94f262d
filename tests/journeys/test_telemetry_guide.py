"""The guide to telemetry runs as it stands, and says what it shows."""

import json
from pathlib import Path

from tests.journeys.guides import blocks, commands, run
from tests.journeys.servers import free_port

GUIDE = "docs/guides/telemetry.md"


def test_the_guide_to_telemetry_posts_reads_and_forgets(tmp_path: Path) -> None:
    home = {"ASTRALYTIQ_HOME": str(tmp_path / "home"), "TELEMETRY_PORT": str(free_port())}
    said = run(commands(GUIDE), **home).text
    (shown,) = blocks(GUIDE, "text")
    assert shown.strip() in said
    assert said.count('"event_id":"drive-1/1"') == 2
    assert '"events_logged":2' in said
    assert "body.events.0.ear_value" in said
    assert "simulated-0" in said
    # 12 s of 52, or 15.5 of 55.5 where the minute is that of the first event, too.
    assert any(share in said for share in ("0.2308", "0.2793"))
    assert "dataset_version 1@1" in said
    assert "deleted cab-7 and 3 events" in said
    left = json.loads(said[said.rindex("\n{\n") :])
    assert left["total_events"] > 200
