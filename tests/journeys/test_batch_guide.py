"""The guide to batches and promotion runs as it stands, on a server: its commands start quicker."""

from pathlib import Path

from tests.journeys.guides import administered, commands, run

GUIDE = "docs/guides/batch-and-promotion.md"


def test_the_guide_to_batches_and_promotion_does_what_it_says(tmp_path: Path) -> None:
    with administered(tmp_path / "home") as there:
        told = run(commands(GUIDE), TMPDIR=str(tmp_path), **there)
    said = told.line
    assert "rows 150 skipped 0" in said
    assert "rows 2 skipped 1" in said
    assert 'renamed {"prediction": "prediction_2"}' in said
    assert "param.max_depth" in said
    assert "dataset_version 2@1 (rows 150) came of: batch_prediction" in said
    refused = "Version 2 of 'iris_forest' does not pass the gate: its accuracy is"
    assert refused in told.error
    assert "version 2 stays where it is" in said
    assert "measured on different rows" in said
    assert "dataset: 1@2 and 1@1" in told.error
    assert "is_checked True" in said
    listed = said[said.rindex("version algorithm stage") :]
    assert "2 random_forest archived" in listed
    assert "3 random_forest none" in listed
    assert "1 random_forest production" in listed
