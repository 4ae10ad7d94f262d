"""The guide to watching models runs as it stands, on a server: its commands start quicker."""

import json
from pathlib import Path

from tests.journeys.guides import administered, commands, run

GUIDE = "docs/guides/watching-models.md"


def test_the_guide_to_watching_models_sees_what_it_says(tmp_path: Path) -> None:
    with administered(tmp_path / "home") as there:
        said = run(commands(GUIDE), TMPDIR=str(tmp_path), **there).line
    assert "iris_tree: running version 2, share 1" in said
    assert "new 150 replaced 0 unchanged 0" in said
    first, second = said.split("iris_tree: ok, from ")[1].split("iris_tree: drift, from ")
    assert "1 production ok 2 151 " in first
    assert "1 production drift 3 301 " in second
    assert "petal_length_cm: drift, PSI" in second
    (answer,) = tmp_path.glob("tmp.*/one.json")
    assert json.loads(answer.read_text())["predictions"] == ["virginica"]
