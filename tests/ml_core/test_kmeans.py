"""K-Means: what the paper promises, what scikit-learn finds, and inputs at the edge."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml_core import ConvergenceWarning, KMeans, dumps, loads
from ml_core.kmeans_passes import ReferencePasses
from ml_core.lloyd import lloyd
from tests.ml_core.data import Matrix, clouds

cluster: Any = pytest.importorskip("sklearn.cluster")
datasets: Any = pytest.importorskip("sklearn.datasets")


def inertia_of(x: Matrix, labels: Any) -> float:
    parts = [x[labels == label] for label in np.unique(labels)]
    return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))


def first_rows(x: Matrix, n_clusters: int, seed: int) -> Matrix:
    return x[np.random.default_rng(seed).choice(len(x), n_clusters, replace=False)]


def test_labels_are_the_nearest_centres_and_centres_the_means() -> None:
    x, _ = clouds(300, 4)
    model = KMeans(5, tol=0.0, random_state=0).fit(x)
    distances = ((x[:, None, :] - model.cluster_centers_) ** 2).sum(axis=2)
    assert np.array_equal(model.labels_, distances.argmin(axis=1))
    means = [x[model.labels_ == label].mean(axis=0) for label in range(5)]
    assert np.allclose(model.cluster_centers_, means, rtol=1e-12)
    assert model.inertia_ == pytest.approx(distances.min(axis=1).sum(), rel=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_inertia_never_grows(weighted: bool) -> None:
    x, _ = clouds(400, 3, n_classes=6)
    weights = np.random.default_rng(1).random(400) if weighted else np.ones(400)
    # All centres on one row: five of six clusters are empty at first and must be filled.
    centres = np.repeat(x[:1], 6, axis=0)
    passes = ReferencePasses(x, weights)
    found = [lloyd(passes, centres, n_iter, 0.0) for n_iter in range(1, 40)]
    inertias = np.array([one.inertia for one in found])
    assert (np.diff(inertias) <= 1e-12 * inertias[1:]).all()
    assert inertias[-1] < inertias[0] / 1.1
    assert np.unique(found[-1].labels).size == 6


@pytest.mark.parametrize("seed", range(4))
def test_the_same_beginning_gives_scikit_learns_labels(seed: int) -> None:
    x, _ = clouds(500, 5, n_classes=4, seed=seed)
    init = first_rows(x, 6, seed)
    ours = KMeans(6, init=init).fit(x)
    theirs = cluster.KMeans(6, init=init, n_init=1).fit(x)
    assert np.array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-10)
    assert np.allclose(ours.cluster_centers_, theirs.cluster_centers_, rtol=1e-9)


def test_in_float32_close_calls_are_decided_better_than_by_scikit_learn() -> None:
    x = clouds(500, 5, n_classes=4)[0].astype(np.float32)
    ours = KMeans(6, init=x[:6]).fit(x)
    theirs = cluster.KMeans(6, init=x[:6], n_init=1).fit(x)
    assert (ours.labels_ == theirs.labels_).mean() > 0.99
    precise = ((x.astype(np.float64) - ours.cluster_centers_[ours.labels_]) ** 2).sum()
    assert ours.inertia_ == pytest.approx(precise, rel=1e-12)


@pytest.mark.parametrize(("name", "n_clusters"), [("iris", 3), ("wine", 4), ("digits", 10)])
def test_known_data_gets_scikit_learns_labels(name: str, n_clusters: int) -> None:
    x = getattr(datasets, f"load_{name}")().data
    init = first_rows(x, n_clusters, 1)
    weights = np.random.default_rng(0).integers(1, 5, size=len(x))
    ours = KMeans(n_clusters, init=init).fit(x, sample_weight=weights)
    theirs = cluster.KMeans(n_clusters, init=init, n_init=1).fit(x, sample_weight=weights)
    assert np.array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-10)
    assert ours.score(x) == pytest.approx(theirs.score(x), rel=1e-10)
    assert np.allclose(ours.transform(x), theirs.transform(x))


def test_whole_fits_are_as_good_as_scikit_learns() -> None:
    x, _ = clouds(400, 4, n_classes=8)
    ours = [KMeans(8, random_state=seed).fit(x).inertia_ for seed in range(20)]
    theirs = [cluster.KMeans(8, random_state=seed).fit(x).inertia_ for seed in range(20)]
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.03)


def test_no_result_is_better_than_the_optimum_and_a_good_one_reaches_it() -> None:
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(7, 2))
        partitions = itertools.product(range(3), repeat=7)
        optimum = min(inertia_of(x, np.array(labels)) for labels in partitions)
        found = KMeans(3, n_init=20, tol=0.0, random_state=seed).fit(x)
        assert found.inertia_ >= optimum * (1 - 1e-12)
        assert found.inertia_ == pytest.approx(optimum)


def test_the_same_seed_gives_the_same_bytes_and_another_another_beginning() -> None:
    x, _ = clouds(150, 3)
    assert dumps(KMeans(6, random_state=4).fit(x)) == dumps(KMeans(6, random_state=4).fit(x))
    centres = {KMeans(6, random_state=s).fit(x).cluster_centers_.tobytes() for s in range(5)}
    assert len(centres) > 1


def test_more_beginnings_find_no_worse_result() -> None:
    x, _ = clouds(200, 3, n_classes=8)
    # The first beginning is the same, so more of them can only be better.
    inertias = [KMeans(8, n_init=n, random_state=0).fit(x).inertia_ for n in (1, 3, 9)]
    assert inertias == sorted(inertias, reverse=True)
    assert inertias[2] < inertias[0]


def test_random_beginnings_are_ten_and_the_best_is_kept() -> None:
    x, _ = clouds(200, 3, n_classes=8)
    found = [KMeans(8, init="random", n_init=n, random_state=0).fit(x) for n in ("auto", 1, 10)]
    assert dumps(found[0].set_params(n_init=10)) == dumps(found[2])
    assert found[2].inertia_ < found[1].inertia_


def test_max_iters_is_accepted_for_max_iter() -> None:
    x, _ = clouds(300, 4)
    few = KMeans(6, max_iters=2, random_state=0).fit(x)
    assert few.n_iter_ == 2
    same = KMeans(6, max_iter=2, random_state=0).fit(x)
    assert np.array_equal(few.cluster_centers_, same.cluster_centers_)
    assert np.array_equal(few.labels_, few.predict(x))


def test_a_weight_is_the_row_repeated() -> None:
    x, _ = clouds(80, 3)
    weights = np.random.default_rng(0).integers(0, 4, size=80)
    weighted = KMeans(4, random_state=1).fit(x, sample_weight=weights)
    repeated = KMeans(4, random_state=1, tol=weighted.tol).fit(x.repeat(weights, axis=0))
    assert np.allclose(weighted.cluster_centers_, repeated.cluster_centers_)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_)


def test_one_number_weighs_all_rows_alike() -> None:
    x, _ = clouds(50, 2)
    plain, heavy = (KMeans(3, random_state=0).fit(x, sample_weight=w) for w in (None, 2.0))
    assert np.array_equal(plain.labels_, heavy.labels_)
    assert heavy.inertia_ == pytest.approx(2 * plain.inertia_)
    assert heavy.score(x, sample_weight=2.0) == -heavy.inertia_


def test_a_centre_that_no_row_is_near_is_not_left_empty() -> None:
    x, _ = clouds(40, 2)
    init = [[0.0, 0.0], [1e6, 1e6], [-1e6, 1e6]]
    model = KMeans(3, init=init).fit(x)
    assert np.unique(model.labels_).size == 3
    assert np.abs(model.cluster_centers_).max() < 100


def test_as_many_clusters_as_rows_leave_no_inertia() -> None:
    x, _ = clouds(12, 2)
    model = KMeans(12, random_state=0).fit(x)
    assert model.inertia_ == 0.0
    assert sorted(model.labels_.tolist()) == list(range(12))


def test_fewer_distinct_rows_than_clusters_are_warned_of() -> None:
    x = np.array([[0.0], [0.0], [5.0], [5.0]])
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\) found smaller than"):
        model = KMeans(3, random_state=0).fit(x)
    assert model.inertia_ == 0.0
    assert np.unique(model.labels_).size == 2
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(1\)"):
        assert KMeans(2).fit(np.ones((5, 2))).inertia_ == 0.0


def test_one_row_and_one_cluster_are_enough() -> None:
    model = KMeans(1).fit([[1.0, 2.0]])
    assert model.cluster_centers_.tolist() == [[1.0, 2.0]]
    assert model.predict([[9.0, 9.0]]).tolist() == [0]


def test_neighbouring_floats_are_told_apart() -> None:
    low = 1.0
    x = np.array([[low], [np.nextafter(low, 2.0)]])
    model = KMeans(2, random_state=0, tol=0.0).fit(x)
    assert sorted(model.labels_.tolist()) == [0, 1]


def test_constant_and_repeated_columns_change_no_label() -> None:
    x, _ = clouds(100, 3)
    wide = np.hstack([x, np.full((100, 1), 7.0), x])
    init = [0, 1, 2]
    before = KMeans(3, init=x[init], tol=0.0).fit(x)
    after = KMeans(3, init=wide[init], tol=0.0).fit(wide)
    assert np.array_equal(before.labels_, after.labels_)
    assert after.inertia_ == pytest.approx(2 * before.inertia_)


def test_columns_can_be_moved_shifted_and_scaled_by_two() -> None:
    x, _ = clouds(150, 4)
    before = KMeans(5, init=x[:5]).fit(x)
    changes: list[Callable[[Matrix], Matrix]] = [
        lambda rows: rows[:, ::-1],
        lambda rows: rows * 1024.0,
        lambda rows: rows + 64.0,
    ]
    for change in changes:
        after = KMeans(5, init=change(x[:5])).fit(change(x))
        assert np.array_equal(before.labels_, after.labels_)


def test_float32_stays_float32() -> None:
    x = clouds(60, 3)[0].astype(np.float32)
    model = KMeans(3, random_state=0).fit(x)
    assert model.cluster_centers_.dtype == model.transform(x).dtype == np.float32
    assert np.array_equal(model.labels_, model.predict(x))
    whole_numbers = KMeans(3, random_state=0).fit(np.arange(12).reshape(6, 2))
    assert whole_numbers.cluster_centers_.dtype == np.float64


def test_before_fit_there_is_nothing_to_see() -> None:
    model = KMeans(3)
    assert (model.labels, model.centroids, model.inertia) == (None, None, None)
    x, _ = clouds(30, 2)
    model.fit(x)
    assert model.labels is model.labels_
    assert model.centroids is model.cluster_centers_
    assert model.inertia == model.inertia_


def test_fit_predict_and_fit_transform_are_fit_and_then_the_other() -> None:
    x, _ = clouds(40, 2)
    model = KMeans(3, random_state=0)
    assert np.array_equal(model.fit_predict(x), model.labels_)
    assert np.array_equal(model.fit_transform(x), model.transform(x))
    assert np.array_equal(model.transform(x).argmin(axis=1), model.labels_)
    assert model.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([[1.0], [np.nan]], r"Input X contains NaN\."),
        (np.array([[1.0], [np.inf]], np.float32), r"too large for dtype\('float32'\)"),
        ([[1.0]], r"n_samples=1 should be >= n_clusters=2\."),
        ([[1e200], [-1e200]], "too far apart to square their distances"),
    ],
)
def test_rows_that_cannot_be_clustered_are_refused(x: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KMeans(2).fit(x)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0, -1.0, 1.0], "Negative values in data"),
        ([0.0, 0.0, 0.0], "at least one non-zero"),
        ([1.0, 1.0], r"sample_weight.shape == \(2,\)"),
        ([[1.0], [1.0], [1.0]], "1D array or scalar"),
        ([1.0, np.nan, 1.0], "Input sample_weight contains NaN"),
    ],
)
def test_weights_that_are_none_are_refused(weights: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KMeans(2).fit([[1.0], [2.0], [3.0]], sample_weight=weights)


@pytest.mark.parametrize("weight", [2.0**1000, 2.0**-1074])
def test_equal_weights_of_any_size_give_the_same_clusters(weight: float) -> None:
    x, _ = clouds(60, 3)
    plain = KMeans(4, random_state=0).fit(x)
    weighed = KMeans(4, random_state=0).fit(x, sample_weight=np.full(60, weight))
    assert np.array_equal(weighed.cluster_centers_, plain.cluster_centers_)
    assert np.array_equal(weighed.labels_, plain.labels_)
    assert weighed.inertia_ == pytest.approx(weight * plain.inertia_)
    assert weighed.score(x, sample_weight=weight) == -weighed.inertia_


def test_an_inertia_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="inertia is too large for float64; divide sample_weight"):
        KMeans(1).fit([[0.0], [1e10]], sample_weight=1e300)


def test_rows_whose_distances_add_up_beyond_float64_are_refused() -> None:
    # Their variance is finite; the square of the way from one to the other is not.
    with pytest.raises(ValueError, match="too far apart to square their distances"):
        KMeans(2).fit([[0.0], [1.8e154]], sample_weight=[0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_clusters", 0),
        ("n_clusters", 2.0),
        ("init", "somehow"),
        ("n_init", 0),
        ("n_init", "many"),
        ("max_iter", 0),
        ("max_iters", 0),
        ("tol", -1.0),
        ("tol", np.nan),
        ("tol", "small"),
        ("random_state", -1),
        ("n_jobs", 0),
        ("n_jobs", 1.0),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        KMeans(2).set_params(**{name: value}).fit([[1.0], [2.0]])


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ([[1.0]], "does not match the number of clusters 2"),
        ([[1.0, 2.0], [3.0, 4.0]], "does not match the number of features of the data 1"),
        ([[1.0], [np.nan]], "contains NaN"),
        ([[1.0], [1e300]], r"Input init contains infinity or a value too large .*float32"),
    ],
)
def test_initial_centres_must_fit_the_data(init: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KMeans(2, init=init).fit(np.array([[1.0], [2.0]], np.float32))


def test_a_fit_that_fails_leaves_the_model_whole() -> None:
    x, _ = clouds(30, 2)
    model = KMeans(3, random_state=0).fit(x)
    before = dumps(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit([[np.nan]])
    assert dumps(model) == before


def test_a_loaded_model_answers_as_the_saved_one() -> None:
    x = clouds(50, 3)[0].astype(np.float32)
    for params in ({"random_state": 1}, {"init": x[:4]}, {"init": x[:4].tolist()}):
        model = KMeans(4).set_params(**params).fit(x)
        copy = loads(dumps(model))
        assert isinstance(copy, KMeans)
        assert copy.cluster_centers_.dtype == np.float32
        assert np.array_equal(copy.transform(x), model.transform(x))
        assert np.array_equal(copy.labels_, model.labels_)
        assert (copy.inertia_, copy.n_iter_) == (model.inertia_, model.n_iter_)
        assert dumps(copy) == dumps(model)
        assert dumps(copy.fit(x)) == dumps(model)
