"""What K-Means with NumPy and without have in common: the chance, and a limit of the data."""

import math
from random import Random


def n_trials(n_clusters: int) -> int:
    """Candidates compared for each centre: scikit-learn's number, so that both seed alike."""
    return 2 + int(math.log(n_clusters))


def seeding_draws(rng: Random, n_clusters: int) -> list[list[float]]:
    """All the chance in one seeding: n_clusters lines of `n_trials` numbers from [0, 1).

    Python's generator and not NumPy's: its stream is promised to stay the same in later versions,
    and it is there without NumPy.
    """
    return [[rng.random() for _ in range(n_trials(n_clusters))] for _ in range(n_clusters)]


def check_spread(spread: float, n_rows: int, n_features: int) -> float:
    """The spread itself, unless sums of squared distances could overflow.

    All rows together are n_rows x n_features x spread from their mean, in squares. None of them is
    farther than twice as much from any point among them.
    """
    if not math.isfinite(2.0 * n_rows * n_rows * n_features * spread):
        raise ValueError("the rows are too far apart to square their distances; scale the columns")
    return spread
