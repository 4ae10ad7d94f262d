"""The guides' commands run as they stand, one after the other, and say what the guide says."""

import os
import subprocess
import sys
from pathlib import Path

from astralytiq.features.ingestion import source_file
from astralytiq.features.ingestion.schemas import source_spec
from tests.journeys.test_documents import ROOT, blocks

GUIDE = "docs/guides/ingestion.md"
# Whatever happens, nothing that the guide started goes on.
CLEAN = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"


def test_the_guide_to_ingestion_brings_in_what_it_says(tmp_path: Path) -> None:
    script = CLEAN + "\n".join(blocks(GUIDE, "bash"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ASTRALYTIQ_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reject  published_at (from 'read_at')" in done.stdout
    assert blocks(GUIDE, "text")[0] in done.stdout
    for source, counts in (
        ("orders", "5 5 0 0"),
        ("orders", "1 1 0 0"),
        ("meters", "6 5 0 1"),
        ("news", "2 2 0 0"),
    ):
        assert f" {source} success {counts} " in " ".join(done.stdout.split())
    for told in ("kill -9", "Injected: crash@batch:1.", "Ended: success, 2 records."):
        assert told in done.stdout + done.stderr
    for title in ("kettle", "lamp", "chair", "desk", "clock", "vase"):
        assert title in done.stdout


def test_the_guide_shows_the_file_that_it_applies() -> None:
    (shown,) = blocks(GUIDE, "yaml")
    assert shown in (ROOT / "examples" / "guide.yaml").read_text()


def test_the_examples_are_sources_as_they_stand() -> None:
    content = source_file.read(ROOT / "examples" / "sources.yaml").content
    specs = [source_spec.validate_python(one) for one in content["sources"]]
    assert {spec.kind for spec in specs} == {"api", "csv", "rss"}
