"""docs/models.md tells of every algorithm, its parameters and how it compares."""

import json
from pathlib import Path

import pytest

from astralytiq.engines.models.catalogue import ALGORITHMS

PAGE = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_it_has_every_parameter_with_its_default(name: str) -> None:
    """`python bench/model_accuracy.py --parameters` writes them anew."""
    section = PAGE.partition(f"### {name}\n")[2].partition("\n### ")[0]
    algorithm = ALGORITHMS[name]
    assert algorithm.description in section
    for parameter in algorithm.parameters:
        begin = f"| `{parameter.name}` | `{json.dumps(parameter.default)}` |"
        (line,) = [line for line in section.splitlines() if line.startswith(begin)]
        assert line.endswith(f"| {parameter.description} |")


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_it_has_figures_of_every_algorithm(name: str) -> None:
    """`python bench/model_accuracy.py --write` measures them."""
    table = PAGE.partition("<!-- accuracy: begin -->")[2].partition("<!-- accuracy: end -->")[0]
    assert f"\n| {name} | " in table
    assert name in PAGE.partition("## Beside")[0]
