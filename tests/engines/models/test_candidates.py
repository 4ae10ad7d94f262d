"""The candidates of a search: bounded, different, and the same for the same seed."""

from astralytiq.engines.models.candidates import Choices, at_random, combinations, of_grid

CHOICES: Choices = {"depth": [1, None], "bins": ["a", "b", "c"]}


def test_a_grid_holds_every_combination_once() -> None:
    found = of_grid(CHOICES)
    assert len(found) == combinations(CHOICES) == 6
    assert len({tuple(sorted(map(str, one.values()))) for one in found}) == 6
    assert found[:2] == [{"bins": "a", "depth": 1}, {"bins": "a", "depth": None}]


def test_a_grid_does_not_depend_on_the_order_of_names() -> None:
    assert of_grid({name: CHOICES[name] for name in reversed(CHOICES)}) == of_grid(CHOICES)


def test_random_ones_are_different_and_depend_on_the_seed_alone() -> None:
    wide: Choices = {name: list(range(100)) for name in "abcdefgh"}
    first, again, other = (at_random(wide, 50, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({tuple(one.values()) for one in first}) == 50


def test_no_more_than_there_are_is_drawn() -> None:
    found = at_random(CHOICES, 100, 0)
    assert sorted(map(str, found)) == sorted(map(str, of_grid(CHOICES)))
