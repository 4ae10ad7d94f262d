"""Outcomes as people write them mean what the version's classes say."""

from pathlib import Path

import pytest

from astralytiq.features.predictions import outcome_files


def test_what_is_written_is_the_class_that_is_written_so() -> None:
    assert outcome_files.meant("7", ["7", "8"]) == "7"
    assert outcome_files.meant("7", [7, 8]) == 7
    assert outcome_files.meant("true", [True, False]) is True
    assert outcome_files.meant("True", [True, False]) is True
    assert outcome_files.meant("3.5", []) == 3.5
    assert outcome_files.meant('["a", null]', ["a", "b"]) == ["a", None]
    assert outcome_files.meant("rose", ["tulip"]) == "rose"  # The door refuses it, in words.


def test_a_file_names_rows_and_their_outcomes(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text("prediction_id,row,outcome,observed_at\na,,7,\nb,3,8,2026-01-31\n")
    assert list(outcome_files.read(file, [7, 8])) == [
        {"prediction_id": "a", "outcome": 7},
        {"prediction_id": "b", "row": 3, "outcome": 8, "observed_at": "2026-01-31"},
    ]
    parts = list(outcome_files.parts([{}] * 20_001))
    assert [len(part) for part in parts] == [10_000, 10_000, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prediction_id,label\na,x\n", "its columns are"),
        ("prediction_id,outcome\na\n", "line 2: it has not as many cells"),
        ("prediction_id,outcome,row\na,x,one\n", "line 2: invalid literal"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        list(outcome_files.read(file, []))
