"""Small data sets the tests share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def clouds(
    n_rows: int, n_features: int, *, n_classes: int = 3, seed: int = 0
) -> tuple[Matrix, Any]:
    """Overlapping normal clouds, one per class, so that trees are neither trivial nor hopeless."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n_rows)
    centres = rng.normal(scale=1.5, size=(n_classes, n_features))
    return centres[y] + rng.normal(size=(n_rows, n_features)), y
