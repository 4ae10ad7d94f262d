"""What K-Means is made of: the seeding, the sums and the plain form without NumPy."""

from random import Random

import numpy as np
import pytest

from ml_core import KMeans, kmeans_plain, kmeans_reference
from ml_core.kmeans_passes import ReferencePasses
from ml_core.kmeans_plain import plain_kmeans
from ml_core.kmeans_reference import nearest, part_slices, part_totals, slice_of, spread, total
from ml_core.kmeans_shared import n_trials, seeding_draws
from ml_core.lloyd import filled_clusters, lloyd
from ml_core.seeding import random_rows, rows_at, seed_rows
from tests.ml_core.data import clouds


def test_the_first_centre_is_drawn_by_weight_and_the_next_by_squared_distance() -> None:
    x = np.array([[0.0], [1.0], [3.0], [6.0]])
    weights = np.array([1.0, 2.0, 3.0, 0.0])
    rng = Random(0)
    drawn = np.zeros((4, 4))
    for _ in range(4000):
        # One candidate a line: k-means++ as published, without the greedy choice.
        first, second = seed_rows(x, weights, np.array([[rng.random()], [rng.random()]]))
        drawn[first, second] += 1
    masses = weights * (x - x.T) ** 2
    shares = np.divide(masses, masses.sum(axis=1, keepdims=True))
    expected = 4000 * (weights / weights.sum())[:, None] * shares
    possible = expected > 0
    assert drawn[~possible].sum() == 0
    chi_square = ((drawn - expected)[possible] ** 2 / expected[possible]).sum()
    # Six possible pairs, five degrees of freedom: 20.5 is exceeded once in a thousand times.
    assert chi_square < 20.5


def test_seeding_takes_the_candidate_that_leaves_the_least_inertia() -> None:
    x, _ = clouds(60, 2)
    draws = np.array(seeding_draws(Random(3), 5))
    rows = seed_rows(x, np.ones(60), draws)
    closest = ((x - x[rows[0]]) ** 2).sum(axis=1)
    for line, chosen in zip(draws[1:], rows[1:], strict=True):
        left = {
            row: np.minimum(closest, ((x - x[row]) ** 2).sum(axis=1)).sum()
            for row in rows_at(closest, line)
        }
        assert left[chosen] == min(left.values())
        closest = np.minimum(closest, ((x - x[chosen]) ** 2).sum(axis=1))


def test_as_many_candidates_are_tried_as_in_scikit_learn() -> None:
    assert [n_trials(k) for k in (1, 2, 3, 8, 64)] == [2, 2, 3, 4, 6]


@pytest.mark.parametrize(
    ("mass", "draw", "row"),
    [
        ([0.0, 1.0, 0.0, 3.0, 0.0], 0.0, 1),
        ([0.0, 1.0, 0.0, 3.0, 0.0], 0.2499, 1),
        ([0.0, 1.0, 0.0, 3.0, 0.0], 0.25, 3),
        ([0.0, 1.0, 0.0, 3.0, 0.0], 1.0 - 2.0**-53, 3),
        ([0.0, 5e-324, 0.0], 0.9, 1),
        ([0.0, 0.0], 0.5, 0),
    ],
)
def test_a_row_without_mass_is_not_drawn(mass: list[float], draw: float, row: int) -> None:
    assert rows_at(np.array(mass), np.array([draw])).tolist() == [row]
    assert kmeans_plain._row_at(mass, draw) == row


def test_seeded_rows_are_distinct_while_there_are_distinct_rows() -> None:
    x = np.arange(6.0)[:, None].repeat(3, axis=0)
    for seed in range(20):
        rows = seed_rows(x, np.ones(18), np.array(seeding_draws(Random(seed), 6)))
        assert np.unique(x[rows]).size == 6


def test_the_mass_of_many_parts_is_shared_by_rows_as_that_of_one() -> None:
    # Whole numbers are added without rounding, so that the row is known exactly.
    mass = np.random.default_rng(0).integers(0, 3, size=5000).astype(float)
    reached = mass.cumsum()
    for draw in np.random.default_rng(1).random(200):
        expected = np.searchsorted(reached, draw * reached[-1], side="right")
        assert rows_at(mass, np.array([draw])) == expected


def test_random_rows_are_drawn_by_weight_and_only_once() -> None:
    weights = np.array([1.0, 2.0, 0.0, 3.0])
    drawn = np.zeros((4, 4))
    rng = Random(1)
    for _ in range(4000):
        first, second = random_rows(weights, np.array([rng.random(), rng.random()]))
        drawn[first, second] += 1
    rest = weights * (1 - np.eye(4))
    expected = 4000 * (weights / 6)[:, None] * rest / rest.sum(axis=1, keepdims=True)
    possible = expected > 0
    assert drawn[~possible].sum() == 0
    # Six possible pairs, five degrees of freedom: 20.5 is exceeded once in a thousand times.
    assert ((drawn - expected)[possible] ** 2 / expected[possible]).sum() < 20.5
    draws = np.array([0.2, 0.9, 0.4, 0.5])
    assert sorted(random_rows(weights, draws)) == [0, 0, 1, 3]
    many = np.ones(5000)
    assert np.unique(random_rows(many, np.random.default_rng(2).random(5000))).size == 5000


@pytest.mark.parametrize(
    ("n_rows", "n_parts", "size"),
    [(1, 1, 1), (2048, 1, 2048), (2049, 2, 2048), (131_072, 64, 2048), (131_073, 64, 2049)],
)
def test_there_are_at_most_64_parts(n_rows: int, n_parts: int, size: int) -> None:
    parts = list(part_slices(n_rows))
    assert len(parts) == n_parts
    assert parts[0] == slice(0, size)
    assert parts[-1].stop == n_rows
    assert parts == [slice_of(part, n_rows) for part in range(n_parts)]


def test_sums_are_made_in_the_order_that_is_written_down() -> None:
    values = np.array([1e16, 1.0, -1e16, 1.0])
    assert total(values) == 1.0
    x = values[:, None]
    sums, totals = kmeans_reference.cluster_sums(x, np.ones(4), np.zeros(4, np.int32), 2)
    assert sums.tolist() == [[1.0], [0.0]]
    assert totals.tolist() == [4.0, 0.0]


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    x = 1e9 + np.array([[0.0], [1e-3], [1.0]])
    labels, closest = nearest(x, x[[0, 2]])
    assert labels.tolist() == [0, 0, 1]
    assert closest[1] == pytest.approx(1e-6, rel=1e-3)


def test_parts_are_added_row_by_row_and_then_in_turn() -> None:
    values = np.zeros(4097)
    values[[0, 1, 2, 2048, 4096]] = [1e16, 1.0, 1.0, 2.0**53, -1e16]
    # Row by row both ones would be lost, added up before they would make two.
    assert part_totals(values).tolist() == [1e16, 2.0**53, -1e16]
    assert total(values) == (1e16 + 2.0**53) - 1e16
    labels = np.zeros(4097, np.int32)
    sums, _ = kmeans_reference.cluster_sums(values[:, None], np.ones(4097), labels, 1)
    assert sums.tolist() == [[total(values)]]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("case", range(24))
def test_plain_python_finds_the_same_bits(case: int) -> None:
    rng = np.random.default_rng(case)
    n_rows, n_features = int(rng.integers(1, 40)), int(rng.integers(1, 5))
    n_clusters = min(n_rows, int(rng.integers(1, 9)))
    x = rng.normal(size=(n_rows, n_features)) * 10.0 ** rng.integers(-3, 4)
    x = x.round() if case % 3 == 0 else x
    model = KMeans(n_clusters, random_state=case, max_iter=1 + case)
    model.fit(x)
    labels, centres, inertia, n_iter = plain_kmeans(x.tolist(), n_clusters, 1 + case, case)
    assert labels == model.labels_.tolist()
    assert centres == model.cluster_centers_.tolist()
    assert (inertia, n_iter) == (model.inertia_, model.n_iter_)


def test_plain_python_fills_empty_clusters_as_the_reference_does() -> None:
    x, _ = clouds(40, 2)
    centres = np.array([[0.0, 0.0], [1e6, 1e6], [-1e6, 1e6]])
    expected = lloyd(ReferencePasses(x, np.ones(40)), centres, 30, 0.0)
    assert np.unique(expected.labels).size == 3
    found = kmeans_plain._lloyd(x.tolist(), centres.tolist(), 30, 0.0)
    assert found.labels == expected.labels.tolist()
    assert found.centres == expected.centres.tolist()
    assert (found.inertia, found.n_iter) == (expected.inertia, expected.n_iter)


def test_an_empty_cluster_is_given_the_farthest_row() -> None:
    labels = np.array([0, 0, 0, 1], dtype=np.int32)
    closest = np.array([1.0, 4.0, 2.0, 9.0])
    # Row 3 is farther, but the last of its cluster; row 1 is the next.
    assert filled_clusters(labels, closest, np.ones(4), 3).tolist() == [0, 2, 0, 1]
    # Without weight row 1 does not count, and moves nowhere.
    weights = np.array([1.0, 0.0, 1.0, 1.0])
    assert filled_clusters(labels, closest, weights, 3).tolist() == [0, 0, 2, 1]
    assert filled_clusters(labels, np.zeros(4), np.ones(4), 3).tolist() == labels.tolist()
    plain = kmeans_plain._filled_clusters(labels.tolist(), closest.tolist(), 3)
    assert plain == [0, 2, 0, 1]


def test_spread_is_the_mean_variance() -> None:
    x, _ = clouds(300, 4)
    assert spread(x) == pytest.approx(x.var(axis=0).mean())
