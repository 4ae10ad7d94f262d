"""Columns as ranks of bins."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core import coding
from ml_core.coding import Coded, coded


def column(values: Any, max_bins: int | None, weights: Any = None) -> Coded:
    return coded(np.asarray(values)[:, None], max_bins, weights, None)


def test_an_exact_column_has_a_bin_for_each_distinct_value() -> None:
    table = column([3.0, 1.0, 3.0, -0.0, 0.0, 8.0], None)
    assert table.by_column.tolist() == [[2, 1, 2, 0, 0, 3]]
    assert table.low.tolist() == table.high.tolist() == [0.0, 1.0, 3.0, 8.0]
    assert not np.signbit(table.low).any()
    assert table.starts.tolist() == [0, 4]
    assert table.by_row.tolist() == table.by_column.T.tolist()


def test_bins_hold_about_as_many_rows_each() -> None:
    values = np.random.default_rng(0).permutation(1000) * 1.0
    table = column(values, 10)
    assert np.bincount(table.by_column[0]).tolist() == [100] * 10
    assert table.low.tolist() == list(range(0, 1000, 100))
    assert table.high.tolist() == list(range(99, 1000, 100))


def test_a_value_that_fills_bins_lies_in_one() -> None:
    table = column([0.0] * 90 + [1.0, 2.0, 3.0] + [5.0] * 50, 3)
    assert table.low.tolist() == [0.0, 1.0, 5.0]
    assert table.high.tolist() == [0.0, 3.0, 5.0]


@pytest.mark.parametrize(("n_bins", "name"), [(256, "uint8"), (257, "uint16"), (65_537, "uint32")])
def test_codes_are_as_narrow_as_the_bins_allow(n_bins: int, name: str) -> None:
    assert column(np.arange(n_bins) * 1.0, None).by_column.dtype == name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=200),
    st.sampled_from([None, 2, 3, 16]),
    st.booleans(),
)
def test_a_code_is_the_bin_whose_values_enclose_it(
    values: list[int], max_bins: int | None, weighted: bool
) -> None:
    weights = np.arange(1, len(values) + 1) if weighted else None
    table = column(np.array(values, dtype=np.float32), max_bins, weights)
    codes = table.by_column[0]
    assert (table.low[codes] <= values).all()
    assert (table.high[codes] >= values).all()
    assert (table.low[1:] > table.high[:-1]).all()
    assert np.unique(codes).size == table.low.size <= (max_bins or len(values))


@pytest.mark.parametrize("max_bins", [None, 7])
def test_a_weighed_row_fills_bins_as_its_repetitions_do(max_bins: int | None) -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=60), rng.integers(1, 5, size=60)
    weighed, repeated = column(values, max_bins, weights), column(values.repeat(weights), max_bins)
    assert np.array_equal(weighed.by_column[0].repeat(weights), repeated.by_column[0])
    assert np.array_equal(weighed.low, repeated.low)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("max_bins", [None, 50, 300])
def test_all_ways_to_code_a_column_agree(
    kind: type[Any], max_bins: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every third column of every second row: neither need lie one behind the other.
    X = np.random.default_rng(0).normal(size=(1000, 6)).astype(kind)[::2, ::3]
    usual = coded(X, max_bins, None, 1)
    monkeypatch.setattr(coding, "_WORTH_THREADS", 0)
    on_threads = coded(X, max_bins, None, 2)
    monkeypatch.setattr(coding, "_MOST_SEARCHED", 1)
    by_order = coded(X, max_bins, None, 1)
    monkeypatch.undo()
    monkeypatch.setattr(coding, "library", lambda: None)
    by_reference = coded(X, max_bins, None, 1)
    for other in (on_threads, by_order, by_reference):
        for one, same in zip(usual, other, strict=True):
            assert one.dtype == same.dtype
            assert np.array_equal(one, same)
