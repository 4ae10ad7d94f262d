"""Splits rows into those to train on and those to test with."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import BadTraining

Rows = NDArray[np.intp]


def split(task: str, target: NDArray[Any], test_size: float, seed: int) -> tuple[Rows, Rows]:
    """Row numbers to train on and to test with, as the task wants it; clusters need no test."""
    if task == "clustering":
        return np.arange(len(target)), np.arange(0)
    if task == "regression":
        return shuffled(len(target), test_size, seed)
    return stratified(target, test_size, seed)


def shuffled(n_rows: int, test_size: float, seed: int) -> tuple[Rows, Rows]:
    tested = math.ceil(n_rows * test_size)
    if not 2 <= tested < n_rows:
        raise BadTraining(
            f"{n_rows} rows are too few to test {test_size:g} of them, at least two: add rows or "
            "change test_size."
        )
    order = np.random.default_rng(seed).permutation(n_rows)
    return np.sort(order[tested:]), np.sort(order[:tested])


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


def folds(task: str, target: NDArray[Any], count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """So many pairs of rows to train on and to test with: each row is tested once.

    Of labels every class is spread over the folds as evenly as it goes; a class of a single row is
    never tested, as no model would know it.
    """
    rng = np.random.default_rng(seed)
    if task == "regression":
        dealt, least = rng.permutation(len(target)) % count, 2 * count
    else:
        dealt, least = dealt_by_class(target, count, rng), count
    if (tested := int((dealt >= 0).sum())) < least:
        raise BadTraining(
            f"{tested} rows are too few for {count} folds: add rows or lower cv_folds."
        )
    return [(np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)) for fold in range(count)]


def dealt_by_class(target: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The fold of each row, (rows,); -1 for none. Each class goes on where the last one ended."""
    classes, codes = np.unique(target, return_inverse=True)
    fold_of = np.full(len(target), -1, dtype=np.intp)
    before = 0
    for code in range(len(classes)):
        rows = rng.permutation(np.flatnonzero(codes == code))
        if len(rows) > 1:
            fold_of[rows] = (before + np.arange(len(rows))) % count
            before += len(rows)
    return fold_of
