"""The best split of one node: every cut between neighbouring values of the drawn features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.criteria import Criterion

# Class counts held at once while a node is searched (8 bytes each): the root of a large data set
# is searched a few features at a time instead of in one array of rows x features x classes.
_COUNTS_AT_ONCE = 1 << 22


class Split(NamedTuple):
    """Rows whose ``feature`` is at most ``threshold`` go left."""

    feature: int
    threshold: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What a tree grows from.

    ``columns`` is X transposed, (n_features, n_rows), so that one feature is contiguous.
    ``class_counts``, (n_classes, n_rows), says how often a row counts, in the line of its class.
    """

    columns: NDArray[np.float64]
    class_counts: NDArray[np.float64]


def best_split(
    sample: Sample,
    rows: NDArray[np.intp],
    features: NDArray[np.intp],
    criterion: Criterion,
    min_samples_leaf: int,
) -> Split | None:
    """The split with the least impurity, or None if no cut leaves enough rows on both sides.

    Of equally good splits the one whose feature comes first wins, then the lowest threshold.
    Costs O(k m log m + k m C) for k features, m rows and C classes.
    """
    best, least = None, np.inf
    for some in _blocks(features, rows.size * len(sample.class_counts)):
        split, impurity = _best_of_block(sample, rows, some, criterion, min_samples_leaf)
        if impurity < least:
            best, least = split, impurity
    return best


def _blocks(features: NDArray[np.intp], counts_per_feature: int) -> Iterator[NDArray[np.intp]]:
    step = max(1, _COUNTS_AT_ONCE // counts_per_feature)
    for start in range(0, features.size, step):
        yield features[start : start + step]


def _best_of_block(
    sample: Sample,
    rows: NDArray[np.intp],
    features: NDArray[np.intp],
    criterion: Criterion,
    min_samples_leaf: int,
) -> tuple[Split, float]:
    """Shapes: k features by m rows; after position j of a sorted line, j + 1 rows are left."""
    lines = features[:, None]
    sorted_rows = rows[sample.columns[lines, rows].argsort(axis=1)]
    values = sample.columns[lines, sorted_rows]
    running = sample.class_counts[:, sorted_rows].cumsum(axis=2)
    left, everything = running[:, :, :-1], running[:, :, -1:]
    right = everything - left
    n_left, n_right = left.sum(axis=0), right.sum(axis=0)
    allowed = values[:, :-1] < values[:, 1:]
    if min_samples_leaf > 1:
        allowed &= (n_left >= min_samples_leaf) & (n_right >= min_samples_leaf)
    impurity = np.where(allowed, criterion(left, n_left) + criterion(right, n_right), np.inf)
    line, cut = divmod(int(impurity.argmin()), rows.size - 1)
    threshold = midpoint(float(values[line, cut]), float(values[line, cut + 1]))
    return Split(int(features[line]), threshold), float(impurity[line, cut])


def midpoint(low: float, high: float) -> float:
    """A number t with low <= t < high, halfway if floats allow it.

    Halves are added because low + high could overflow. Between neighbouring floats the sum rounds
    to one of them: to ``high`` would send both values left, so ``low`` is taken instead.
    """
    middle = low / 2 + high / 2
    return middle if low <= middle < high else low


def first_that_varies(
    sample: Sample, rows: NDArray[np.intp], draw: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The first feature of ``draw`` that is not constant in the node, if there is one."""
    values = sample.columns[draw[:, None], rows]
    varying: NDArray[np.intp] = draw[values.min(axis=1) < values.max(axis=1)]
    return varying[:1]
