"""Chance is a counter's: the same one by one, all at once and in C, and even."""

import ctypes

import numpy as np
import pytest

from ml_core import draws, native
from ml_core.draws import Draws, drawn_rows, draws_below
from ml_core.planting import seeds_of


def test_the_stream_is_that_of_the_paper() -> None:
    # The first outputs of SplitMix64 for the seed 1234567, as its authors' reference code has them.
    stream = Draws(1234567)
    drawn = [stream.below(2**64) for _ in range(3)]
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("bound", [1, 2, 7, 2**31, 2**32 + 5, 2**52 + 12345])
def test_one_by_one_and_all_at_once_are_the_same(bound: int) -> None:
    one_by_one = Draws(2**64 - 3)
    assert draws_below(bound, 2**64 - 3, 50).tolist() == [
        one_by_one.below(bound) for _ in range(50)
    ]


def test_a_stream_can_begin_anywhere() -> None:
    stream, later = Draws(5), Draws(5, 20)
    for _ in range(20):
        stream.below(2)
    assert stream.below(10**6) == later.below(10**6)


@pytest.mark.parametrize("weighted", [False, True])
def test_every_build_draws_the_rows_of_the_reference(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = np.random.default_rng(0).integers(0, 9, size=1000)
    reached = weights.cumsum() if weighted else None
    n_draws = int(weights.sum()) if weighted else 1000
    drawn = {}
    for build in [*native.BUILDS, native.REFERENCE]:
        kernels = None if build == native.REFERENCE else ctypes.CDLL(str(native.path_of(build)))
        if kernels is not None and kernels.processor_level() < native.BUILDS[build]:
            continue
        monkeypatch.setattr(draws, "library", lambda kernels=kernels: kernels)
        drawn[build] = drawn_rows(7, n_draws, 1000, reached).tolist()
    assert len(drawn) > 1
    assert len({tuple(counts) for counts in drawn.values()}) == 1
    assert not weighted or not np.array(drawn[native.REFERENCE])[weights == 0].any()


def test_rows_are_drawn_by_their_weight() -> None:
    weights = np.array([1, 0, 2, 5])
    drawn = drawn_rows(3, 80_000, 4, weights.cumsum())
    # The standard deviation of a count is at most 141.
    assert np.abs(drawn - 10_000 * weights).max() < 600


def test_numbers_are_drawn_evenly() -> None:
    counts = np.bincount(draws_below(10, 11, 100_000), minlength=10)
    assert np.abs(counts - 10_000).max() < 500


def test_seeds_do_not_depend_on_how_many_there_are() -> None:
    assert seeds_of(5, 3) == seeds_of(5, 9)[:3]
    assert len(set(seeds_of(0, 100))) == 100
