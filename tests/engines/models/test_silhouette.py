"""The silhouette agrees with scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from astralytiq.engines.models.silhouette import silhouette

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("clusters", [2, 5])
def test_it_is_the_mean_over_all_rows(clusters: int) -> None:
    rows, labels = RNG.normal(size=(250, 3)), RNG.integers(0, clusters, 250)
    labels[0] = clusters  # a row that is alone
    assert silhouette(rows, labels) == pytest.approx(silhouette_score(rows, labels))


def test_of_many_rows_an_even_sample_is_taken_and_always_the_same() -> None:
    rows, labels = RNG.normal(size=(100, 2)), RNG.integers(0, 2, 100)
    chosen = [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    found = silhouette(rows, labels, sample=10)
    assert found == pytest.approx(silhouette_score(rows[chosen], labels[chosen]))
    assert found == silhouette(rows, labels, sample=10)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 1, 2]])
def test_it_is_not_defined_for_one_cluster_or_for_clusters_of_one_row(labels: list[int]) -> None:
    assert silhouette(np.eye(3), np.array(labels)) is None


def test_equal_rows_in_two_clusters_are_not_apart() -> None:
    assert silhouette(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == 0.0
