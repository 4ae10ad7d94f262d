"""How mixed a node is: Gini (CART) and entropy (ID3), each times the number of rows in the node.

With ``n`` rows and ``c_k`` of them in class ``k``, a split of node ``t`` into ``L`` and ``R``
decreases the impurity ``i`` by ``i(t) - n_L/n i(L) - n_R/n i(R)``. The first term and ``n`` are the
same for every split of ``t``, so the best split has the smallest ``n_L i(L) + n_R i(R)``: a sum of
two of the numbers computed here. Counts come with the classes on the **first** axis, because adding
up a few long rows is much quicker in NumPy than adding up many short ones.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
Criterion = Callable[[Counts, Counts], NDArray[np.float64]]


def gini(counts: Counts, totals: Counts) -> NDArray[np.float64]:
    """``n (1 - sum p_k^2)``; Breiman, Friedman, Olshen & Stone 1984, section 4.3."""
    impurity: NDArray[np.float64] = totals - (counts * counts).sum(axis=0) / totals
    return impurity


def entropy(counts: Counts, totals: Counts) -> NDArray[np.float64]:
    """``-n sum p_k log2 p_k`` in bits; Quinlan 1986, section 4."""
    impurity: NDArray[np.float64] = _n_log_n(totals) - _n_log_n(counts).sum(axis=0)
    return impurity


def _n_log_n(counts: Counts) -> NDArray[Any]:
    # Counts are whole numbers, so 1 stands in for 0 without touching any other value: 0 log 0 = 0.
    return counts * np.log2(np.maximum(counts, 1.0))


CRITERIA: dict[str, Criterion] = {"gini": gini, "entropy": entropy}
