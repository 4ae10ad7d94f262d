"""The best cut of one node: between any two neighbouring bins that its rows lie in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_core.criteria import Criterion, total_of
from ml_core.draws import Draws

Rows = NDArray[np.intp]


class Cut(NamedTuple):
    """Rows whose code of ``feature`` is at most ``below`` go left; the next code is ``above``."""

    feature: int
    below: int
    above: int
    score: float


class Sample(NamedTuple):
    """What one tree grows from, as codes.

    ``columns`` (n_features, n_rows) are the codes and ``classes`` (n_rows,) the classes of all
    rows. ``masses`` (n_rows,) are what rows weigh and ``counts`` as how many rows they count where
    rows are counted; both are 0 for rows that this tree does not see. Masses of class c are
    multiplied by ``scales[c]``, after they were added up.
    """

    columns: NDArray[np.unsignedinteger]
    classes: NDArray[np.unsignedinteger]
    masses: NDArray[np.int64]
    counts: NDArray[np.int64]
    scales: NDArray[np.float64]

    def masses_of(self, rows: Rows) -> NDArray[np.float64]:
        """The mass of each class among the rows: (n_classes,)."""
        # float64 sums whole numbers exactly up to 2**53, which no sum of masses reaches.
        sums = np.bincount(self.classes[rows], self.masses[rows], minlength=self.scales.size)
        return self.scales * sums


class Least(NamedTuple):
    """What must lie on each side of a cut: so many rows, as they are counted, and so much mass."""

    rows: int
    mass: float


class Looking(NamedTuple):
    """Which features a node looks at: ``wanted`` of them, and more until one varies in the node.

    Where they do not come in a drawn order, ``lots`` decide among equal cuts.
    """

    features: Iterator[int]
    wanted: int
    lots: Draws | None


class _Bins(NamedTuple):
    """A node's rows by the k bins of a feature that they lie in, in order."""

    codes: NDArray[np.unsignedinteger]  # (k,)
    masses: NDArray[np.float64]  # (n_classes, k), not yet scaled
    counts: NDArray[np.int64]  # (k,)


@dataclass(slots=True)
class _Best:
    """The best cut so far, and how many features have one that is as good."""

    cut: Cut | None = None
    n_equal: int = 0

    def offer(self, cut: Cut, lots: Draws | None) -> None:
        if self.cut is None or cut.score > self.cut.score:
            self.cut, self.n_equal = cut, 1
        elif cut.score == self.cut.score and lots is not None:
            self.n_equal += 1
            if lots.below(self.n_equal) == 0:
                self.cut = cut


def best_cut(
    sample: Sample,
    rows: Rows,
    looking: Looking,
    criterion: Criterion,
    least: Least,
) -> Cut | None:
    """The cut of the highest score, or None if none leaves enough on both sides.

    Takes no more features than it looks at. Of equal cuts of one feature the lowest is taken. Of
    those of several features, each is as likely: as the order of features was drawn, the first of
    them wins; otherwise the k-th takes the place of the one before with chance 1/k. Costs
    O(m log m + k C) for a feature, m rows in k bins and C classes.
    """
    best, varied = _Best(), False
    for looked, feature in enumerate(looking.features, start=1):
        bins = _bins(sample, rows, feature)
        if bins.codes.size > 1:
            varied = True
            cut = _best_of(bins, sample.scales, feature, criterion, least)
            if cut is not None:
                best.offer(cut, looking.lots)
        if looked >= looking.wanted and varied:
            break
    return best.cut


def _bins(sample: Sample, rows: Rows, feature: int) -> _Bins:
    codes, place = np.unique(sample.columns[feature, rows], return_inverse=True)
    n_classes, k = sample.scales.size, codes.size
    cell = sample.classes[rows].astype(np.intp) * k + place
    masses = np.bincount(cell, sample.masses[rows], minlength=n_classes * k).astype(np.float64)
    counts = np.bincount(place, sample.counts[rows]).astype(np.int64)
    return _Bins(codes, masses.reshape(n_classes, k), counts)


def _best_of(
    bins: _Bins,
    scales: NDArray[np.float64],
    feature: int,
    criterion: Criterion,
    least: Least,
) -> Cut | None:
    """The k - 1 cuts: after position j the bins up to j lie left."""
    running, reached = bins.masses.cumsum(axis=1), bins.counts.cumsum()
    left, right = running[:, :-1], running[:, -1:] - running[:, :-1]
    allowed = np.minimum(reached[:-1], reached[-1] - reached[:-1]) >= least.rows
    left, right = scales[:, None] * left, scales[:, None] * right
    if least.mass > 0.0:
        allowed &= np.minimum(total_of(left), total_of(right)) >= least.mass
    if not allowed.any():
        return None
    scores = criterion.score(left) + criterion.score(right)
    at = int(np.where(allowed, scores, -np.inf).argmax())
    return Cut(feature, int(bins.codes[at]), int(bins.codes[at + 1]), float(scores[at]))
