"""The guide to monitoring runs as it stands, and says what it shows."""

import re
from pathlib import Path

from tests.journeys.guides import commands, run
from tests.journeys.servers import free_port

GUIDE = "docs/guides/monitoring.md"


def test_the_guide_to_monitoring_tells_how_a_server_is(tmp_path: Path) -> None:
    given = {
        "ASTRALYTIQ_HOME": str(tmp_path / "home"),
        "MONITORING_PORT": str(free_port()),
        "COLLECTOR_PORT": str(free_port()),
    }
    told = run(commands(GUIDE), **given)
    said = told.line
    assert "database healthy" in said
    assert re.search(r"GET /data 3 0 ", said)
    passed = re.search(r"(\d+) of (\d+) tests passed", said)
    assert passed
    assert passed[1] == passed[2]
    assert 'astralytiq_http_requests_total{method="GET",outcome="ok",path="/data"} 3.0' in said
    assert "a span came: POST /api/v1/sources/{name}/run" in said
    assert "a span came: job ingestion.run" in said
