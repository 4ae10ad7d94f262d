"""The guides to dashboards, live updates and alerts run as they stand."""

from pathlib import Path

from tests.journeys.guides import blocks, commands, run
from tests.journeys.servers import free_port

DASHBOARDS, ALERTS = "docs/guides/dashboards.md", "docs/guides/alerts.md"


def test_the_guide_to_dashboards_shows_what_it_says(tmp_path: Path) -> None:
    home = {"ASTRALYTIQ_HOME": str(tmp_path / "home"), "DASHBOARD_PORT": str(free_port())}
    said = run(commands(DASHBOARDS), **home)
    words, told = said.line, said.text
    assert "bar Petals 3 rows" in words
    assert "table The longest 5 rows" in words
    assert "Flowers (copy)" in told
    assert "snapshot of ['runs']" in told
    assert "run of iris success" in told


def test_the_guide_to_alerts_tells_the_pager_twice(tmp_path: Path) -> None:
    ports = {"ALERTS_PORT": str(free_port()), "HOOK_PORT": str(free_port())}
    told = run(commands(ALERTS), ASTRALYTIQ_HOME=str(tmp_path / "home"), **ports).text
    assert blocks(ALERTS, "text")[0] in told
    assert "calling the driver" in told
