"""Splits rows into those to train on and those to test with."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import BadTraining

Rows = NDArray[np.intp]


def stratified(target: NDArray[Any], test_size: float, seed: int) -> tuple[Rows, Rows]:
    """Row numbers to train on and to test with, in order, each class in its share.

    Every class keeps a row to train on; classes of one row are therefore never tested.
    """
    classes, codes = np.unique(target, return_inverse=True)
    counts = np.bincount(codes)
    if len(classes) < 2:
        raise BadTraining("The target has a single value: there is nothing to tell apart.")
    wanted = math.ceil(len(target) * test_size)
    shares = apportioned(counts, wanted)
    if not 0 < shares.sum() < len(target):
        raise BadTraining(
            f"{len(target)} rows in {len(classes)} classes are too few to test {test_size:g} of "
            "them: add rows or change test_size."
        )
    rng = np.random.default_rng(seed)
    tested = np.zeros(len(target), dtype=bool)
    for code, share in enumerate(shares):
        tested[rng.permutation(np.flatnonzero(codes == code))[:share]] = True
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def apportioned(counts: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """`wanted` seats by largest remainder, leaving at least one row of each class."""
    exact = counts * (wanted / counts.sum())
    seats: NDArray[np.intp] = np.minimum(np.floor(exact).astype(np.intp), counts - 1)
    for code in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if seats.sum() < wanted and seats[code] < counts[code] - 1:
            seats[code] += 1
    return seats
