"""The guides' commands run as they stand, one after the other, and say what the guide says."""

from pathlib import Path

from astralytiq.features.ingestion import source_file
from astralytiq.features.ingestion.schemas import source_spec
from tests.journeys.guides import ROOT, blocks, commands, run

GUIDE = "docs/guides/ingestion.md"


def test_the_guide_to_ingestion_brings_in_what_it_says(tmp_path: Path) -> None:
    said = run(commands(GUIDE), ASTRALYTIQ_HOME=str(tmp_path / "home"))
    assert "reject  published_at (from 'read_at')" in said.text
    assert blocks(GUIDE, "text")[0] in said.text
    for source, counts in (
        ("orders", "5 5 0 0"),
        ("orders", "1 1 0 0"),
        ("meters", "6 5 0 1"),
        ("news", "2 2 0 0"),
    ):
        assert f" {source} success {counts} " in said.line
    for told in ("kill -9", "Injected: crash@batch:1.", "Ended: success, 2 records."):
        assert told in said.text + said.error
    for title in ("kettle", "lamp", "chair", "desk", "clock", "vase"):
        assert title in said.text


def test_the_guide_shows_the_file_that_it_applies() -> None:
    (shown,) = blocks(GUIDE, "yaml")
    assert shown in (ROOT / "examples" / "guide.yaml").read_text()


def test_the_examples_are_sources_as_they_stand() -> None:
    content = source_file.read(ROOT / "examples" / "sources.yaml").content
    specs = [source_spec.validate_python(one) for one in content["sources"]]
    assert {spec.kind for spec in specs} == {"api", "csv", "rss"}
