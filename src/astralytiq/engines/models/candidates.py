"""The parameters that a search tries. Nothing here imports NumPy: the API counts them."""

import math
import random
from typing import Any

MOST_CANDIDATES = 100
MOST_NAMES = 8
MOST_VALUES = 100

Choices = dict[str, list[Any]]


def combinations(choices: Choices) -> int:
    return math.prod(len(values) for values in choices.values())


def of_grid(choices: Choices) -> list[dict[str, Any]]:
    """All combinations; the last name (in order of the alphabet) changes fastest."""
    return [combination(choices, place) for place in range(combinations(choices))]


def at_random(choices: Choices, count: int, seed: int) -> list[dict[str, Any]]:
    """Different combinations, each as likely as any; all of them where there are no more."""
    total = combinations(choices)
    places = random.Random(seed).sample(range(total), min(count, total))
    return [combination(choices, place) for place in places]


def combination(choices: Choices, place: int) -> dict[str, Any]:
    found = {}
    for name in sorted(choices, reverse=True):
        place, digit = divmod(place, len(choices[name]))
        found[name] = choices[name][digit]
    return found
