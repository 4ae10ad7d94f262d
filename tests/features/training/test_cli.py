"""What `astralytiq train run` makes of its options."""

import pytest

from astralytiq.features.training.cli import read_search
from tests.test_cli import run


def test_a_search_is_read_from_options() -> None:
    assert read_search([], [], 10) == {}
    given = ["max_depth=3,none", "criterion=gini"]
    wanted = {"max_depth": [3, None], "criterion": ["gini"]}
    assert read_search(given, [], 10) == {"grid": wanted}
    assert read_search([], given, 4) == {"random": {**wanted, "n_iter": 4}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "max_depth"], "name=value,value"),
        (["--grid", "max_depth=1", "--draw", "max_depth=1"], "not both"),
    ],
)
def test_a_search_that_is_none_is_one_line_and_exit_code_2(options: list[str], words: str) -> None:
    refused = run("train", "run", "flowers", "--dataset", "1", *options)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
