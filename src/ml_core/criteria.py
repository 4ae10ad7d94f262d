"""How good a cut is: Gini's index (CART) and entropy (ID3), as scores that the best cut makes most.

With mass N in a part of the rows and m_c of it in class c, Gini's index times N is N - sum m_c^2/N,
and the entropy times N is N log2 N - sum m_c log2 m_c. A cut decreases the impurity of a node most
where the sum of the two numbers over its sides is least. What all cuts of a node have in common is
left out: the **score** of a part is sum m_c^2 / N, or sum m_c log2 m_c - N log2 N, that of a cut
the sum over its sides. Masses come with the classes on the first axis and are added in their
order, one by one: a library's sum adds in an order of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Masses = NDArray[np.float64]

# Terms of the series of log2; the first left out is below the rounding of the sum.
_TERMS = 11
_SQRT_HALF = 0.7071067811865476
_TWO_BY_LN_2 = 2.8853900817779268


@dataclass(frozen=True, slots=True)
class Criterion:
    """``score`` of parts, (n_classes, n_parts) to (n_parts,); ``impurity`` times mass likewise."""

    name: str
    score: Callable[[Masses], Masses]
    impurity: Callable[[Masses], Masses]


def total_of(masses: Masses) -> Masses:
    """The masses of all classes together, added in the order of the classes."""
    total = np.zeros(masses.shape[1:])
    for of_class in masses:
        total = total + of_class
    return total


def gini_score(masses: Masses) -> Masses:
    """``sum m_c^2 / N``; Breiman, Friedman, Olshen and Stone 1984, section 4.3."""
    score: Masses = total_of(masses * masses) / total_of(masses)
    return score


def entropy_score(masses: Masses) -> Masses:
    """``sum m_c log2 m_c - N log2 N``; Quinlan 1986, section 4."""
    score: Masses = total_of(_x_log2_x(masses)) - _x_log2_x(total_of(masses))
    return score


def log2(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The binary logarithm of positive numbers, of + - * / alone: the same bits on any machine.

    x = 2^e m with m between sqrt(1/2) and sqrt(2), and ln m = 2 (s + s^3/3 + s^5/5 + ...) with
    s = (m - 1)/(m + 1), which is at most 0.172.
    """
    m, e = np.frexp(x)
    small = m < _SQRT_HALF
    m = np.where(small, m + m, m)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = np.full_like(s, 1.0 / (2 * _TERMS - 1))
    for term in range(_TERMS - 1, 0, -1):
        series = series * square + 1.0 / (2 * term - 1)
    logarithm: NDArray[np.float64] = (e - small) + s * _TWO_BY_LN_2 * series
    return logarithm


def _x_log2_x(x: Masses) -> NDArray[Any]:
    positive = x > 0.0
    return np.where(positive, x * log2(np.where(positive, x, 1.0)), 0.0)


def _gini_impurity(masses: Masses) -> Masses:
    return total_of(masses) - gini_score(masses)


def _entropy_impurity(masses: Masses) -> Masses:
    return -entropy_score(masses)


CRITERIA = {
    "gini": Criterion("gini", gini_score, _gini_impurity),
    "entropy": Criterion("entropy", entropy_score, _entropy_impurity),
}
