"""How well clusters are apart, by Rousseeuw's silhouettes (1987)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE = 2_000  # Each row is measured against each other: 4 million distances.
BLOCK = 100


def silhouette(features: NDArray[Any], labels: NDArray[Any], sample: int = SAMPLE) -> float | None:
    """The mean silhouette of all rows, or of an even sample of them; -1 to 1.

    None where it is not defined: with a single cluster, or with none of more than one row.

    Parameters
    ----------
    features : (rows, features) float64
    labels : (rows,)
    sample : int
        Of more rows, so many are taken at even distances: the same rows every time.
    """
    chosen = np.linspace(0, len(labels) - 1, min(sample, len(labels))).astype(np.intp)
    rows = features[chosen]
    clusters, codes = np.unique(labels[chosen], return_inverse=True)
    if not 2 <= len(clusters) < len(rows):
        return None
    parts = [
        widths(rows[begin : begin + BLOCK], codes[begin : begin + BLOCK], rows, codes)
        for begin in range(0, len(rows), BLOCK)
    ]
    return float(np.concatenate(parts).mean())


def widths(
    some: NDArray[Any], own: NDArray[np.intp], rows: NDArray[Any], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of some of the rows; a row that is alone in its cluster has 0."""
    sizes = np.bincount(codes)
    sums = np.stack([to_cluster(some, rows[codes == code]) for code in range(len(sizes))], axis=1)
    here = np.arange(len(some))
    others = sums / sizes
    others[here, own] = np.inf
    nearest = others.min(axis=1)
    inner = sums[here, own] / np.maximum(sizes[own] - 1, 1)
    larger = np.maximum(inner, nearest)
    width = np.divide(nearest - inner, larger, out=np.zeros(len(some)), where=larger > 0)
    return np.where(sizes[own] > 1, width, 0.0)


def to_cluster(some: NDArray[Any], cluster: NDArray[Any]) -> NDArray[np.float64]:
    """The sum of each row's Euclidean distances to all rows of a cluster."""
    squares = np.zeros((len(some), len(cluster)))
    for column in range(some.shape[1]):  # No array of rows x rows x features.
        squares += (some[:, None, column] - cluster[None, :, column]) ** 2
    total: NDArray[np.float64] = np.sqrt(squares).sum(axis=1)
    return total
