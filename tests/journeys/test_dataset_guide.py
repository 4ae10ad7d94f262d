"""The guide to data sets runs as it stands."""

from pathlib import Path

from tests.journeys.guides import commands, run

GUIDE = "docs/guides/datasets.md"


def test_the_guide_to_data_sets_shows_what_it_says(tmp_path: Path) -> None:
    home = {"ASTRALYTIQ_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    said = run(commands(GUIDE), **home).line
    assert "1@1 -> 1@2: major" in said
    assert "score " in said
    assert "1@2 100 6" in said
    assert " again csv 1 100 6 " in said
    (quality,) = tmp_path.glob("tmp.*/quality.json")
    assert '"passed": false' in quality.read_text()
    (parquet,) = tmp_path.glob("tmp.*/iris.parquet")
    assert parquet.read_bytes().startswith(b"PAR1")
