"""Cross-validation: how a training does on rows that were held back from it, fold by fold."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Adapter
from .splitting import Rows

Metrics = dict[str, float]
FoldProgress = Callable[[int, int, int], None]  # the fold (from 0), done, total


def cross_validated(
    adapter: Adapter,
    features: NDArray[Any],
    target: NDArray[Any],
    params: dict[str, Any],
    seed: int,
    parts: list[tuple[Rows, Rows]],
    progress: FoldProgress,
) -> list[Metrics]:
    """The metrics of each fold; raises BadTraining, and what `progress` raises."""
    found = []
    for number, (rows, tests) in enumerate(parts):
        told = partial(progress, number)
        model = adapter.train(features[rows], target[rows], params, seed, told)
        found.append(adapter.evaluate(model, features[tests], target[tests]).metrics)
    return found


def summary(scores: list[Metrics]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of these folds, not of a sample) of what all folds have."""
    names = [name for name in scores[0] if all(name in score for score in scores)]
    values = {name: [score[name] for score in scores] for name in names}
    return {
        name: {"mean": float(np.mean(some)), "std": float(np.std(some))}
        for name, some in values.items()
    }
