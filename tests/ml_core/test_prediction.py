"""Walks down forests: what they answer, and that the kernels answer with the reference's bits."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ml_core import native, prediction
from ml_core.prediction import (
    leaf_lines,
    predict_proba,
    reference_leaf_lines,
    reference_predict_proba,
)
from ml_core.trees import NODE_OF, Forest
from tests.ml_core.forests import DOUBLE, SINGLE, forest, rows_for

# About these the kernel changes what it does: few rows, blocks of walks, rows that meet one tree.
_FEW, _WALKS, _ROWS_PER_TREE = 32, 256, 1 << 14


def builds() -> list[str]:
    library = native.library()
    level = 0 if library is None else library.processor_level()
    return [name for name, least in native.BUILDS.items() if least <= level]


@contextmanager
def using(build: str) -> Iterator[None]:
    """The kernels of this build, or the reference."""
    kernels = None
    if build != native.REFERENCE:
        kernels = prediction.kernels_of(ctypes.CDLL(str(native.path_of(build))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "_kernels", lambda: kernels)
        yield


def answers(of: Forest, X: NDArray[Any], **settings: Any) -> NDArray[np.float64]:
    return predict_proba(of.nodes, of.roots, of.shares, X, **settings)


def walked_by_hand(of: Forest, row: NDArray[Any], root: int) -> int:
    node = root
    while (feature := int(of.nodes["feature"][node])) >= 0:
        # float() is exact for both types, and Python compares in float64.
        goes_left = float(row[feature]) <= float(of.nodes["threshold"][node])
        node = int(of.nodes["left"][node]) + (not goes_left)
    return int(of.nodes["left"][node])


@pytest.mark.parametrize("thresholds", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("rows", [SINGLE, DOUBLE], ids=str)
def test_a_row_goes_left_if_it_is_at_most_the_threshold(
    thresholds: np.dtype[Any], rows: np.dtype[Any]
) -> None:
    of, X = forest(1, type_=thresholds), rows_for(2, 60, type_=rows)
    by_hand = [[walked_by_hand(of, row, root) for root in of.roots.tolist()] for row in X]
    assert leaf_lines(of.nodes, of.roots, X).tolist() == by_hand
    assert reference_leaf_lines(of.nodes, of.roots, X).tolist() == by_hand


@pytest.mark.parametrize("build", [*builds(), native.REFERENCE])
def test_types_are_compared_in_the_wider_one(build: str) -> None:
    """0.1 as float32 is above 0.1 as float64: only in float64 are they told apart."""
    nodes = np.array([(0.1, 0, 1), (0.0, -1, 0), (0.0, -1, 1)], NODE_OF[DOUBLE])
    roots = np.zeros(1, np.int32)
    with using(build):
        assert leaf_lines(nodes, roots, np.array([[0.1]])).tolist() == [[0]]
        assert leaf_lines(nodes, roots, np.array([[0.1]], np.float32)).tolist() == [[1]]
        single = nodes.astype(NODE_OF[SINGLE])
        assert leaf_lines(single, roots, np.array([[0.1]], np.float32)).tolist() == [[0]]
        above = np.nextafter(np.float64(np.float32(0.1)), 1.0)
        assert leaf_lines(single, roots, np.array([[above]])).tolist() == [[1]]


def test_the_answer_is_the_mean_of_the_leaves_shares_added_in_the_order_of_the_trees() -> None:
    of, X = forest(3, n_trees=11), rows_for(4, 50)
    for row, answer in zip(X, answers(of, X), strict=True):
        total = np.zeros(3)
        for root in of.roots.tolist():
            total = total + of.shares[walked_by_hand(of, row, root)]
        assert answer.tolist() == (total / 11).tolist()


def test_a_hard_vote_goes_to_the_first_of_the_largest_shares() -> None:
    nodes = np.array([(0.0, -1, 3), (0.0, -1, 4), (0.0, -1, 2)], NODE_OF[SINGLE])
    roots = np.arange(3, dtype=np.int32)
    shares = np.concatenate([np.eye(3), [[0.2, 0.4, 0.4], [0.5, 0.0, 0.5]]])
    for build in [*builds(), native.REFERENCE]:
        with using(build):
            votes = predict_proba(nodes, roots, shares, np.zeros((40, 1)), hard=True)
        assert (votes == [1 / 3, 1 / 3, 1 / 3]).all()


@pytest.mark.parametrize("build", builds())
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.sampled_from([1, 2, _FEW - 1, _FEW, _FEW + 1, _WALKS - 1, _WALKS, _WALKS + 1]),
    n_trees=st.sampled_from([1, 2, 7, _FEW - 1, _FEW + 1]),
    n_splits=st.integers(0, 60),
    n_features=st.integers(1, 9),
    n_classes=st.integers(1, 9),
    types=st.tuples(*[st.sampled_from([SINGLE, DOUBLE])] * 2),
)
def test_every_build_gives_the_bits_of_the_reference(
    build: str,
    seed: int,
    n_rows: int,
    n_trees: int,
    n_splits: int,
    n_features: int,
    n_classes: int,
    types: tuple[np.dtype[Any], np.dtype[Any]],
) -> None:
    of = forest(
        seed,
        n_trees,
        n_splits=n_splits,
        n_features=n_features,
        n_classes=n_classes,
        type_=types[0],
    )
    X = rows_for(seed + 1, n_rows, n_features, types[1])
    with using(build):
        lines = leaf_lines(of.nodes, of.roots, X)
        assert np.array_equal(lines, reference_leaf_lines(of.nodes, of.roots, X))
        for hard in (False, True):
            expected = reference_predict_proba(of.nodes, of.roots, of.shares, X, hard=hard)
            assert answers(of, X, hard=hard).tobytes() == expected.tobytes()


@pytest.mark.parametrize("build", builds())
@pytest.mark.parametrize("n_trees", [1, _WALKS - 1, _WALKS, _WALKS + 1, 2 * _WALKS + 1])
def test_one_row_meets_every_tree_of_a_large_forest(build: str, n_trees: int) -> None:
    of, X = forest(5, n_trees, n_splits=5), rows_for(6, 1)
    with using(build):
        answer, lines = answers(of, X), leaf_lines(of.nodes, of.roots, X)
    assert np.array_equal(lines, reference_leaf_lines(of.nodes, of.roots, X))
    assert np.array_equal(answer, reference_predict_proba(of.nodes, of.roots, of.shares, X))


@pytest.mark.parametrize("build", builds())
@pytest.mark.parametrize("n_rows", [_ROWS_PER_TREE - 1, _ROWS_PER_TREE, _ROWS_PER_TREE + 1, 40_000])
def test_many_rows_are_answered_alike_by_any_number_of_threads(build: str, n_rows: int) -> None:
    of, X = forest(7, n_trees=9), rows_for(8, n_rows)
    expected = reference_predict_proba(of.nodes, of.roots, of.shares, X)
    with using(build):
        for n_jobs in (None, 1, 2, 3, -1):
            assert np.array_equal(answers(of, X, n_jobs=n_jobs), expected)


def test_rows_are_shared_out_among_threads_only_if_it_pays() -> None:
    parts: list[slice] = []
    pays = prediction._PAIRS_PER_THREAD
    prediction._each_part(parts.append, 100, 2 * pays - 1, 8)
    assert parts == [slice(0, 100)]
    parts.clear()
    prediction._each_part(parts.append, 100, 3 * pays, 8)
    assert sorted((part.start, part.stop) for part in parts) == [(0, 33), (33, 66), (66, 100)]


@pytest.mark.parametrize("build", [*builds(), native.REFERENCE])
def test_rows_may_lie_in_memory_in_any_way(build: str) -> None:
    of, X = forest(9), rows_for(10, 300, type_=DOUBLE)
    misplaced = np.frombuffer(b"." + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(X.shape)
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]
    with using(build):
        expected = answers(of, X)
        for same in (np.asfortranarray(X), X[::-1][::-1], wide, misplaced, read_only):
            assert np.array_equal(answers(of, same), expected)


@pytest.mark.parametrize("build", [*builds(), native.REFERENCE])
def test_trees_of_one_node_need_no_walk(build: str) -> None:
    of = forest(11, n_trees=3, n_splits=0, n_classes=2)
    lines = of.nodes["left"]
    with using(build):
        for n_rows in (1, 2, 50):
            X = rows_for(12, n_rows)
            assert (leaf_lines(of.nodes, of.roots, X) == lines).all()
            assert (answers(of, X) == of.shares[lines].sum(axis=0) / 3).all()


@pytest.mark.parametrize("build", [*builds(), native.REFERENCE])
def test_no_rows_give_no_answers(build: str) -> None:
    of = forest(13)
    with using(build):
        assert answers(of, np.empty((0, 4))).shape == (0, 3)
        assert leaf_lines(of.nodes, of.roots, np.empty((0, 4))).shape == (0, of.roots.size)


def test_the_forests_of_these_tests_are_deep_and_answer_with_many_lines() -> None:
    """Otherwise the tests above would say little."""
    of = forest(14, n_trees=20, n_splits=60)
    assert max(one.depth for one in of.trees()) > 8
    assert np.unique(leaf_lines(of.nodes, of.roots, rows_for(15, 2000))).size > 100
