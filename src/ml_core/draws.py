"""Chance: a stream of draws that is the same one by one, all at once, and in C.

SplitMix64 (Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators, OOPSLA,
figure 17): draw i is a hash of the seed plus (i + 1) times the odd number next to 2**64 divided by
the golden ratio. So any part of the stream can be made without what comes before it.
"""

from ctypes import c_int64, c_uint64

import numpy as np
from numpy.typing import NDArray

from ml_core.native import holding, library, pointer

GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = (1 << 64) - 1
_HALF = np.uint64((1 << 32) - 1)
_FEW_DRAWS = 10_000  # made in some 20 µs


class Draws:
    """The draws of one seed from some position on, one by one."""

    def __init__(self, seed: int, position: int = 0) -> None:
        self.state = (seed + position * GOLDEN) & _WORD

    def below(self, bound: int) -> int:
        """A whole number, 0 to bound - 1: the high word of draw times bound (Lemire 2019).

        No draw is refused: some numbers come up more often by a share of at most bound / 2**64.
        """
        self.state = (self.state + GOLDEN) & _WORD
        z = self.state
        z = ((z ^ (z >> 30)) * _FIRST) & _WORD
        z = ((z ^ (z >> 27)) * _SECOND) & _WORD
        return ((z ^ (z >> 31)) * bound) >> 64


def draws_below(bound: int, seed: int, count: int) -> NDArray[np.int64]:
    """The first ``count`` draws of a seed, as `Draws.below` gives them."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(GOLDEN)
    z += np.uint64(seed)
    z ^= z >> np.uint64(30)
    z *= np.uint64(_FIRST)
    z ^= z >> np.uint64(27)
    z *= np.uint64(_SECOND)
    z ^= z >> np.uint64(31)
    return _high_word(z, bound).astype(np.int64)


def _high_word(z: NDArray[np.uint64], factor: int) -> NDArray[np.uint64]:
    """The high word of each product, put together from four products of half words."""
    half = np.uint64(32)
    low, high = np.uint64(factor & 0xFFFFFFFF), np.uint64(factor >> 32)
    middle = (z >> half) * low + ((z & _HALF) * low >> half)
    other = (z & _HALF) * high + (middle & _HALF)
    product: NDArray[np.uint64] = (z >> half) * high + (middle >> half) + (other >> half)
    return product


def drawn_rows(
    seed: int, n_draws: int, n_rows: int, reached: NDArray[np.int64] | None
) -> NDArray[np.int32]:
    """How often each row comes up in a bootstrap: (n_rows,), which uses the seed's first draws.

    ``reached`` is the cumulative sum of the rows' whole weights; None weighs every row alike. Costs
    O(n_draws), with weights O(n_draws log n_rows).
    """
    kernels = library()
    if kernels is not None:
        counts = np.zeros(n_rows, dtype=np.int32)
        sizes = c_int64(n_draws), c_int64(n_rows)
        draw = holding(kernels) if n_draws <= _FEW_DRAWS else kernels
        draw.forest_draw_rows(c_uint64(seed), *sizes, pointer(reached), pointer(counts))
        return counts
    places = draws_below(n_rows if reached is None else int(reached[-1]), seed, n_draws)
    if reached is not None:
        places = np.searchsorted(reached, places, side="right")
    return np.bincount(places, minlength=n_rows).astype(np.int32)
