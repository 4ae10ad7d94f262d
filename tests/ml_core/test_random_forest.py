"""The random forest: chance, votes, out-of-bag score, progress."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy as np
import pytest

from ml_core import DecisionTreeClassifier, RandomForestClassifier, dumps, parallel, random_forest
from ml_core.draws import drawn_rows
from ml_core.parallel import n_workers
from ml_core.planting import Planted, plant_some, seeds_of
from ml_core.trees import Forest
from tests.ml_core.data import clouds


def test_the_same_seed_gives_the_same_bytes() -> None:
    x, y = clouds(120, 5)
    models = [RandomForestClassifier(12, oob_score=True, random_state=5).fit(x, y) for _ in "ab"]
    assert dumps(models[0]) == dumps(models[1])


def test_another_seed_gives_another_forest() -> None:
    x, y = clouds(120, 5)
    first, second = (RandomForestClassifier(12, random_state=s).fit(x, y) for s in (1, 2))
    assert not np.array_equal(first.predict_proba(x), second.predict_proba(x))


def test_without_a_seed_every_fit_differs() -> None:
    x, y = clouds(120, 5)
    model = RandomForestClassifier(5)
    first = model.fit(x, y).predict_proba(x)
    assert not np.array_equal(first, model.fit(x, y).predict_proba(x))


def test_a_tree_does_not_depend_on_how_many_are_grown() -> None:
    x, y = clouds(120, 5)
    few = RandomForestClassifier(3, random_state=5).fit(x, y).trees_
    many = RandomForestClassifier(6, random_state=5).fit(x, y).trees_
    for one, same in zip(few, many, strict=False):
        assert np.array_equal(one.threshold, same.threshold)
        assert np.array_equal(one.left, same.left)


def test_the_forest_answers_with_the_mean_of_its_trees_shares() -> None:
    x, y = clouds(120, 5)
    model = RandomForestClassifier(7, max_depth=3, random_state=0).fit(x, y)
    shares = []
    for tree in model.trees_:
        node = np.zeros(len(x), dtype=int)
        while (inner := tree.feature[node] >= 0).any():
            goes_left = x[np.arange(len(x)), tree.feature[node]] <= tree.threshold[node]
            node = np.where(inner, np.where(goes_left, tree.left[node], tree.right[node]), node)
        shares.append(tree.shares_of(node))
    assert np.allclose(model.predict_proba(x), np.mean(shares, axis=0), rtol=0, atol=1e-14)


def test_rows_are_answered_alike_alone_and_together() -> None:
    x, y = clouds(90, 5)
    model = RandomForestClassifier(9, max_depth=4, random_state=0).fit(x, y)
    together = model.predict_proba(x)
    assert np.array_equal(
        together, np.concatenate([model.predict_proba(x[[i]]) for i in range(90)])
    )
    assert np.allclose(together.sum(axis=1), 1.0)


def test_without_chance_every_tree_is_the_decision_tree() -> None:
    # Few cuts of many rows, so that no two are equally good: lots would be drawn for those.
    x, y = clouds(600, 5)
    limits: dict[str, Any] = {"max_depth": 3, "min_samples_leaf": 20, "max_bins": None}
    tree = DecisionTreeClassifier(**limits).fit(x, y).tree_
    forest = RandomForestClassifier(3, bootstrap=False, max_features=None, **limits).fit(x, y)
    for same in forest.trees_:
        assert np.array_equal(tree.feature, same.feature)
        assert np.array_equal(tree.threshold, same.threshold)


def test_a_bootstrap_draws_as_many_rows_as_there_are_and_leaves_out_over_a_third() -> None:
    bootstraps = [drawn_rows(seed, 400, 400, None) for seed in seeds_of(0, 40)]
    assert {int(drawn.sum()) for drawn in bootstraps} == {400}
    left_out = [np.mean(drawn == 0) for drawn in bootstraps]
    # (1 - 1/n)^n is about 1/e; the mean of 40 draws has a standard error near 0.0025.
    assert np.mean(left_out) == pytest.approx(np.exp(-1), abs=0.01)


def test_features_are_drawn_evenly() -> None:
    x = np.random.default_rng(0).normal(size=(30, 6))
    y = np.arange(30) % 2
    model = RandomForestClassifier(600, max_features=1, max_depth=1, random_state=0).fit(x, y)
    roots = np.bincount([int(tree.feature[0]) for tree in model.trees_], minlength=6)
    # 600 draws of 6: 100 each, standard deviation 9.1.
    assert np.abs(roots - 100).max() < 40


def test_the_out_of_bag_score_is_close_to_the_score_on_fresh_rows() -> None:
    x, y = clouds(1200, 5)
    model = RandomForestClassifier(40, oob_score=True, random_state=0).fit(x[:600], y[:600])
    assert model.oob_score_ == pytest.approx(model.score(x[600:], y[600:]), abs=0.05)
    assert model.oob_score_ < model.score(x[:600], y[:600])


def test_the_out_of_bag_score_is_nan_if_no_row_was_left_out() -> None:
    with pytest.warns(UserWarning, match="No row was left out"):
        model = RandomForestClassifier(3, oob_score=True).fit([[1.0]], ["only"])
    assert np.isnan(model.oob_score_)


def test_a_fit_without_out_of_bag_score_forgets_the_old_one() -> None:
    x, y = clouds(60, 3)
    model = RandomForestClassifier(5, oob_score=True, random_state=0).fit(x, y)
    assert not hasattr(model.set_params(oob_score=False).fit(x, y), "oob_score_")


def test_an_out_of_bag_score_needs_a_bootstrap() -> None:
    with pytest.raises(ValueError, match="only available if bootstrap=True"):
        RandomForestClassifier(oob_score=True, bootstrap=False).fit([[1.0]], [0])


def test_progress_is_told_after_every_tree() -> None:
    x, y = clouds(40, 3)
    told: list[tuple[int, int]] = []
    RandomForestClassifier(4).fit(x, y, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


class CancelledError(Exception):
    """What a caller raises to stop a fit."""


def test_progress_can_cancel_and_the_old_model_stays() -> None:
    def cancel(done: int, total: int) -> None:
        if done == 2:
            raise CancelledError

    x, y = clouds(40, 3)
    model = RandomForestClassifier(4, random_state=0).fit(x, y)
    before = dumps(model)
    with pytest.raises(CancelledError):
        model.fit(x[:20, :2], y[:20], progress=cancel)
    assert dumps(model) == before


@pytest.mark.parametrize("n_jobs", [1, 2, 5, -1, np.int64(2)])
@pytest.mark.parametrize("loaded", [True, False], ids=["joblib", "threads"])
def test_a_forest_is_the_same_however_it_was_grown(
    n_jobs: int, loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loaded:
        pytest.importorskip("joblib")
    else:
        monkeypatch.delitem(sys.modules, "joblib", raising=False)
    x, y = clouds(80, 4)
    alone = RandomForestClassifier(8, oob_score=True, random_state=0).fit(x, y)
    told: list[int] = []
    model = RandomForestClassifier(8, oob_score=True, n_jobs=n_jobs, random_state=0)
    model.fit(x, y, progress=lambda done, total: told.append(done))
    assert told == list(range(1, 9))
    assert dumps(model.set_params(n_jobs=None)) == dumps(alone)


def test_a_joblib_that_was_told_nothing_leaves_trees_to_our_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joblib: Any = pytest.importorskip("joblib")
    monkeypatch.setattr(joblib, "Parallel", None)
    x, y = clouds(80, 4)
    one, two = (RandomForestClassifier(8, n_jobs=n, random_state=0).fit(x, y) for n in (1, 2))
    assert np.array_equal(one.predict_proba(x), two.predict_proba(x))
    with joblib.parallel_config("threading", n_jobs=3):
        assert _threads_of_a_fit(monkeypatch) == [3]
    assert _threads_of_a_fit(monkeypatch, n_jobs=2) == [2]


def _threads_of_a_fit(monkeypatch: pytest.MonkeyPatch, **params: Any) -> list[int]:
    asked: list[int] = []

    def pool(workers: int) -> ThreadPoolExecutor:
        asked.append(workers)
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(parallel, "ThreadPoolExecutor", pool)
    RandomForestClassifier(24, random_state=0, **params).fit(*clouds(80, 4))
    return asked


def test_a_forest_grown_by_other_processes_is_the_same() -> None:
    joblib: Any = pytest.importorskip("joblib")
    x, y = clouds(80, 4)
    alone = RandomForestClassifier(4, random_state=0).fit(x, y)
    with joblib.parallel_config("loky", n_jobs=2):
        elsewhere = RandomForestClassifier(4, random_state=0).fit(x, y)
    assert dumps(elsewhere) == dumps(alone)


def test_a_cancelled_fit_grows_no_more_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = Event()

    class Pool(ThreadPoolExecutor):
        def __exit__(self, *raised: Any) -> bool | None:
            given_up.set()
            return super().__exit__(*raised)

    def cancel(done: int, total: int) -> None:
        raise CancelledError

    monkeypatch.delitem(sys.modules, "joblib", raising=False)
    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Pool)
    grown: list[int] = []
    first_seed = seeds_of(0, 1)[0]

    def counted(*args: Any) -> list[Planted]:
        # All but the first turn wait, so that cancelling never comes too late.
        assert args[-1][0] == first_seed or given_up.wait(60)
        grown.append(len(args[-1]))
        return plant_some(*args)

    monkeypatch.setattr(random_forest, "plant_some", counted)
    x, y = clouds(60, 4)
    with pytest.raises(CancelledError):
        RandomForestClassifier(400, n_jobs=2, random_state=0).fit(x, y, progress=cancel)
    # 50 trees a turn: the first, and one that each of the two threads may have begun.
    assert 50 <= sum(grown) <= 150


def test_n_jobs_below_0_leave_processors_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert [n_workers(n) for n in (None, 1, 3, -1, -2, -8, -99)] == [1, 1, 3, 8, 7, 1, 1]


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_weight_is_the_row_repeated(bootstrap: bool) -> None:
    x, y = clouds(60, 3)
    weight = np.random.default_rng(0).integers(0, 4, size=60)
    model = RandomForestClassifier(6, bootstrap=bootstrap, min_samples_leaf=2, random_state=0)
    weighted = dumps(model.fit(x, y, sample_weight=weight))
    assert weighted == dumps(model.fit(x.repeat(weight, axis=0), y.repeat(weight)))
    assert weighted != dumps(model.fit(x, y))


def test_rows_without_weight_are_not_out_of_the_bag() -> None:
    x, y = clouds(200, 3)
    weight = (np.arange(200) < 150).astype(int)
    # Wrong labels where the weight is 0 would spoil the score if they were judged.
    wrong = np.where(weight == 1, y, (y + 1) % 3)
    model = RandomForestClassifier(30, oob_score=True, random_state=0)
    weighted = model.fit(x, wrong, sample_weight=weight).oob_score_
    assert weighted == model.fit(x[:150], y[:150]).oob_score_


@pytest.mark.parametrize("weight", [[-1, 1], [0, 0], [1], [np.nan, 1], [np.inf, 1]])
def test_a_weight_that_weighs_nothing_sensible_is_refused(weight: list[float]) -> None:
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        RandomForestClassifier(2).fit([[1.0], [2.0]], [0, 1], sample_weight=weight)


def test_weights_that_would_draw_too_many_rows_are_refused() -> None:
    heavy = RandomForestClassifier(2)
    with pytest.raises(ValueError, match="sample_weight adds up to 2000000000 rows"):
        heavy.fit([[1.0], [2.0]], [0, 1], sample_weight=[10**9, 10**9])
    heavy.set_params(bootstrap=False).fit([[1.0], [2.0]], [0, 1], sample_weight=[10**9, 10**9])
    assert heavy.predict([[1.0]]).tolist() == [0]


def test_importances_find_the_features_that_matter() -> None:
    x = np.random.default_rng(2).normal(size=(300, 6))
    y = x[:, 1] + x[:, 4] > 0
    importances = RandomForestClassifier(30, random_state=0).fit(x, y).feature_importances_
    assert importances.sum() == pytest.approx(1.0)
    assert set(np.argsort(importances)[-2:].tolist()) == {1, 4}


def test_one_class_and_one_row_and_constant_columns_are_answered() -> None:
    assert RandomForestClassifier(3).fit([[1.0]], ["a"]).predict([[2.0]]).tolist() == ["a"]
    model = RandomForestClassifier(3).fit(np.ones((5, 2)), [1, 1, 1, 1, 1])
    assert model.predict_proba(np.ones((2, 2))).tolist() == [[1.0], [1.0]]
    constant = RandomForestClassifier(50, random_state=0).fit(np.ones((8, 3)), [0, 0, 1, 1] * 2)
    assert constant.predict_proba(np.ones((1, 3)))[0] == pytest.approx([0.5, 0.5], abs=0.15)
    assert constant.feature_importances_.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_estimators", 0),
        ("bootstrap", 1),
        ("oob_score", "yes"),
        ("voting", "loud"),
        ("n_jobs", 0),
        ("n_jobs", 1.5),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        RandomForestClassifier().set_params(**{name: value}).fit([[1.0], [2.0]], [0, 1])


def test_hard_votes_are_shares_of_the_trees() -> None:
    x, y = clouds(150, 4)
    model = RandomForestClassifier(9, max_depth=2, voting="hard", random_state=0).fit(x, y)
    votes = np.zeros((150, 3))
    for tree in model.trees_:
        shares = Forest.of([tree]).predict_proba(x)
        votes += np.eye(3)[shares.argmax(axis=1)] / 9
    assert np.allclose(model.predict_proba(x), votes)
    soft = RandomForestClassifier(9, max_depth=2, random_state=0).fit(x, y)
    assert not np.array_equal(soft.predict_proba(x), model.predict_proba(x))


def test_hard_and_soft_votes_are_the_same_while_leaves_are_pure() -> None:
    x, y = clouds(150, 4)
    hard, soft = (
        RandomForestClassifier(9, voting=voting, oob_score=True, random_state=0).fit(x, y)
        for voting in ("hard", "soft")
    )
    assert np.array_equal(hard.predict_proba(x), soft.predict_proba(x))
    assert hard.oob_score_ == soft.oob_score_


def test_hard_votes_count_out_of_the_bag_too() -> None:
    x, y = clouds(300, 4, n_classes=5)
    models = [
        RandomForestClassifier(7, max_depth=1, voting=v, oob_score=True, random_state=0).fit(x, y)
        for v in ("hard", "soft")
    ]
    assert models[0].oob_score_ != models[1].oob_score_


def test_permutation_importances_find_the_features_that_matter_on_fresh_rows() -> None:
    x = np.random.default_rng(2).normal(size=(400, 5))
    y = x[:, 1] + x[:, 4] > 0
    model = RandomForestClassifier(20, random_state=0).fit(x[:200], y[:200])
    lost = model.permutation_importances(x[200:], y[200:], random_state=0).mean(axis=1)
    assert set(np.argsort(lost)[-2:].tolist()) == {1, 4}
    assert lost[[0, 2, 3]].max() < 0.1 < lost[[1, 4]].min()
