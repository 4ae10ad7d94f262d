"""`make demo`: data sets, models and dashboards, once per home, through a kill on the way."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from astralytiq.client import Client
from astralytiq.demo.dashboards import DASHBOARDS
from astralytiq.demo.models import MODELS
from astralytiq.demo.rules import RULES
from astralytiq.demo.tables import TABLES
from tests.journeys.guides import ROOT, blocks
from tests.journeys.servers import Server, served

LONGEST = 300.0
Rows = dict[str, dict[str, Any]]


def test_a_demo_that_was_killed_while_it_loaded_is_complete_at_the_next_start(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    with served(home, "demo", cwd=ROOT) as first:
        read_until(first, "12/")
        first.kill()
    with served(home, "demo", cwd=ROOT) as second:
        the_quickstart_runs_beside_it(second)
        last = read_until(second, "The demo is")
        assert "The demo is loaded: 15 data sets, 12 models and 12 dashboards" in last
        with second.signed_in() as client:
            datasets, models = loaded(client, "/datasets"), loaded(client, "/models")
            every_table_is_there_once_and_measured(client, datasets)
            every_model_is_there_once_and_answers(client, models)
            what_was_answered_leads_back_to_the_records(client)
            what_was_true_afterwards_is_told(client)
            every_dashboard_is_there_once_and_shows_something(client)
            simulated_devices_were_heard_and_nothing_is_wrong(client)
            the_guide_shows_what_it_says(second)


def read_until(server: Server, words: str) -> str:
    """The line with these words, after those that the demo prints before it."""
    assert server.process.stdout
    lines: list[str] = []
    too_late = threading.Timer(LONGEST, server.process.kill)
    too_late.start()
    try:
        for line in server.process.stdout:
            lines.append(line)
            if words in line:
                return line
    finally:
        too_late.cancel()
    raise AssertionError(f"the server ended before it said {words!r}: {lines}")


def the_quickstart_runs_beside_it(server: Server) -> None:
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--url", server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr


def loaded(client: Client, path: str) -> Rows:
    """By name, without what the quickstart made."""
    found = client.get(path, params={"limit": 100})
    return {one["name"]: one for one in found if not one["name"].startswith("quickstart")}


def every_table_is_there_once_and_measured(client: Client, datasets: Rows) -> None:
    made_up = datasets.pop("drowsiness (synthetic)")
    assert (made_up["type"], made_up["version"]) == ("synthetic", 1)
    assert len(datasets) == 15
    planned = {plan.name: max(1, len(plan.versions)) for plan in TABLES}
    assert {name: one["version"] for name, one in datasets.items()} == planned
    for plan in TABLES:
        one = datasets[plan.name]
        assert one["description"] == plan.description
        assert client.get(f"/datasets/{one['id']}/profile")["rows"] == one["rows"] > 0
        quality = client.get(f"/datasets/{one['id']}/quality")
        assert quality["score"] == one["quality_score"] > 0
        assert [rule["problem"] for rule in quality["rules"]] == [None] * len(plan.rules)


def every_model_is_there_once_and_answers(client: Client, models: Rows) -> None:
    assert len(models) == 12
    for plan in MODELS:
        model = models[plan.name]
        assert model["latest_version"] == len(plan.versions)
        assert model["avg_latency_ms"] > 0
        assert model["status"] in ("production", "staging")
        version = client.get(f"/models/{plan.name}/versions/{model['version']}")
        in_production = model["status"] == "production"
        place = "" if in_production else f"/versions/{model['version']}"
        row = [0.5] * len(version["features"])
        asked = {"instances": [row]}
        answer = client.post(f"/models/{plan.name}{place}/predict", json=asked)
        assert answer["version"] == model["version"]
        assert answer["predictions"][0] in version["classes"]


def what_was_answered_leads_back_to_the_records(client: Client) -> None:
    graph = client.get("/lineage/model_version/penguin_species@1", params={"direction": "both"})
    made = [node["id"] for node in graph["nodes"] if node["kind"] == "prediction"]
    trace = client.get(f"/predictions/{made[0]}/trace")
    assert trace["dataset"]["name"] == "penguins"
    assert [run["source"] for run in trace["runs"]] == ["penguins"]
    payload = client.get(trace["records"][0]["raw"].removeprefix("/api/v1"))
    assert payload


def what_was_true_afterwards_is_told(client: Client) -> None:
    found = client.get("/models/weather_kind/monitoring", params={"version": 1})
    (watched,) = found["versions"]
    assert watched["traffic"]["rows"] == watched["quality"]["outcomes"] == 200
    assert watched["inputs"]["verdict"] == "drift"  # It learnt from whole years; these are winters.


def every_dashboard_is_there_once_and_shows_something(client: Client) -> None:
    found = client.get("/dashboards", params={"limit": 100})
    assert sorted(one["name"] for one in found) == sorted(plan.name for plan in DASHBOARDS)
    for one in found:
        widgets = client.get(f"/dashboards/{one['id']}/data")["widgets"]
        assert [widget["error"] for widget in widgets] == [None] * one["widget_count"]
        for widget in widgets:
            assert (widget["data"] or {}).get("rows", True), (one["name"], widget["title"])


def simulated_devices_were_heard_and_nothing_is_wrong(client: Client) -> None:
    figures = client.get("/metrics")["figures"]
    assert (figures["devices"], figures["alerts_firing"]) == (3, 0)
    assert 1_000 < figures["telemetry_events"] < 10_000
    rules = client.get("/alerts/rules")
    assert [rule["state"] for rule in rules] == ["ok"] * len(RULES)
    assert client.get("/alerts") == []


def the_guide_shows_what_it_says(server: Server) -> None:
    script = "\n".join(blocks("docs/guides/demo.md", "bash"))
    script = script.replace("http://127.0.0.1:8000", server.url)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["co2_ppm", "compared", "major"] in [line[:3] for line in lines]
    assert ["in", "damage", "15"] in [line[:3] for line in lines]
    assert ["source", "penguins"] in lines
    assert "tumour_diagnosis: running version 3, share 1" in done.stdout
