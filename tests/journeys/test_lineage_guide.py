"""The guide to lineage runs as it stands."""

import json
from pathlib import Path

from tests.journeys.guides import commands, run

GUIDE = "docs/guides/lineage.md"


def test_the_guide_to_lineage_walks_down_and_back(tmp_path: Path) -> None:
    said = run(commands(GUIDE), ASTRALYTIQ_HOME=str(tmp_path / "home")).text
    down, up, back = (
        said.index(told)
        for told in (
            "source iris made:",
            "dataset_version 1@1 (rows 150) came of:",
            "came of:\n  dep",
        )
    )
    for kind in ("run ", "raw ", "records ", "training_run ", "model_version iris_tree@1",
                 "deployment iris_tree@1"):  # fmt: skip
        assert down < said.index(f"  {kind}", down) < up
        assert said.index(f"  {kind}", back)
    trace = json.loads(said[said.rindex("\n{\n") :])
    assert trace["records"][0]["raw"].startswith("/api/v1/data/")
