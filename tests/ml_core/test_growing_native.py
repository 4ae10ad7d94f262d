"""Trees grown in C are, bit for bit, those of the reference, whatever build does it."""

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core import DecisionTreeClassifier, RandomForestClassifier, coding, draws, dumps, native
from ml_core import growing_native as growing_native_module
from ml_core import planting as planting_module
from ml_core.growing import grow
from ml_core.prediction import kernels_of
from tests.ml_core.data import clouds

Case = tuple[dict[str, Any], Any, Any, Any]


def builds() -> Iterator[ctypes.CDLL]:
    library = native.library()
    assert library is not None
    for name, level in native.BUILDS.items():
        if level <= library.processor_level():
            yield ctypes.CDLL(str(native.path_of(name)))


def fitted_by(kernels: ctypes.CDLL | None, case: Case) -> bytes:
    params, x, y, weights = case
    with pytest.MonkeyPatch.context() as patch:
        for module in (coding, draws, planting_module):
            patch.setattr(module, "library", lambda: kernels)
        return dumps(RandomForestClassifier(2, **params).fit(x, y, sample_weight=weights))


def assert_all_agree(case: Case) -> None:
    by_reference = fitted_by(None, case)
    for kernels in builds():
        assert fitted_by(kernels, case) == by_reference


def weights_of(kind: str, n_rows: int, rng: np.random.Generator) -> Any:
    if kind == "none":
        return None
    if kind == "whole":
        return rng.integers(0, 4, size=n_rows) + (np.arange(n_rows) == 0)
    if kind == "heavy":
        # Beyond the 16 bits that a row's word has for its count.
        return rng.integers(65_530, 65_540, size=n_rows)
    return rng.exponential(size=n_rows)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sizes = [1, 2, 3, 9, 10, 11, 12, 25, 64, 130, 300, 509, 511, 600]
    n_rows = draw(st.sampled_from(sizes))
    n_features = draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 17]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(size=(n_rows, n_features)).astype(draw(st.sampled_from(["f4", "f8"])))
    decimals = draw(st.sampled_from([None, 0, 1]))
    x = x if decimals is None else x.round(decimals)
    y = rng.integers(draw(st.sampled_from([1, 2, 3, 9, 80])), size=n_rows)
    kind = draw(st.sampled_from(["none", "none", "whole", "heavy", "fractional"]))
    params = {
        "criterion": draw(st.sampled_from(["gini", "entropy"])),
        "max_bins": draw(st.sampled_from([None, 2, 100, 254, 255, 256, 257, 5000])),
        "max_depth": draw(st.sampled_from([None, None, 1, 4])),
        "min_samples_split": draw(st.sampled_from([2, 2, 9])),
        "min_samples_leaf": draw(st.sampled_from([1, 1, 2, 7])),
        "min_weight_fraction_leaf": draw(st.sampled_from([0.0, 0.0, 0.03])),
        "max_features": draw(st.sampled_from([1, "sqrt", 0.5, None])),
        "class_weight": draw(st.sampled_from([None, None, "balanced", "balanced_subsample"])),
        "ccp_alpha": draw(st.sampled_from([0.0, 0.0, 0.01])),
        "bootstrap": draw(st.booleans()) and kind != "heavy",
        "random_state": draw(st.integers(0, 99)),
    }
    return params, x, y, weights_of(kind, n_rows, rng)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_c_grows_the_trees_of_the_reference(case: Case) -> None:
    assert_all_agree(case)


@pytest.mark.parametrize("n_rows", [4096, 4097, 9000])
@pytest.mark.parametrize("max_bins", [255, 300, None])
@pytest.mark.parametrize("weights", ["none", "fractional"])
def test_blocks_of_rows_change_no_bit(n_rows: int, max_bins: int | None, weights: str) -> None:
    x, y = clouds(n_rows, 5)
    bootstrap = weights == "none"
    params = {"max_bins": max_bins, "bootstrap": bootstrap, "min_samples_leaf": 60}
    rng = np.random.default_rng(0)
    assert_all_agree(({**params, "random_state": 1}, x, y, weights_of(weights, n_rows, rng)))


@pytest.mark.parametrize("n_rows", [65_535, 65_536, 65_537])
def test_codes_around_16_bits_change_no_bit(n_rows: int) -> None:
    x = np.random.default_rng(0).permuted(np.tile(np.arange(n_rows), (2, 1)), axis=1).T * 0.5
    y = (x.sum(axis=1) > n_rows / 2).astype(int)
    params = {"max_bins": None, "bootstrap": False, "max_depth": 5, "max_features": None}
    assert_all_agree((params, x, y, None))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_column_of_few_values_beside_one_of_very_many_changes_no_bit(n_classes: int) -> None:
    # The codes of all columns are as wide as the widest needs, 32 bits here.
    rng = np.random.default_rng(0)
    n_rows = 70_000
    x = np.column_stack([rng.permutation(n_rows), rng.integers(n_classes, size=(n_rows, 1))])
    y = x[:, 1]
    params = {"max_bins": None, "bootstrap": False, "max_depth": 3, "max_features": None}
    assert_all_agree((params, x, y, None))
    assert DecisionTreeClassifier(max_depth=n_classes - 1).fit(x, y).score(x, y) == 1.0


@pytest.mark.parametrize("n_counted", [32_766, 32_767, 32_768])
@pytest.mark.parametrize("n_classes", [2, 64, 65])
def test_features_side_by_side_change_no_bit(n_counted: int, n_classes: int) -> None:
    # Few values, so that features are tallied together, up to as many rows as 32 bits can square.
    rng = np.random.default_rng(n_classes)
    x, y = rng.integers(9, size=(300, 19)).astype(float), rng.integers(n_classes, size=300)
    weights = np.full(300, 109)
    weights[0] += n_counted - weights.sum()
    for max_features in (8, 4, None):
        params = {"bootstrap": False, "max_features": max_features, "random_state": 2}
        assert_all_agree(({**params, "max_depth": 3, "min_samples_leaf": 200}, x, y, weights))


def test_rows_drawn_more_often_than_a_word_counts_change_no_bit() -> None:
    x, y = clouds(5, 3)
    assert_all_agree(({"random_state": 0}, x, y, np.array([200_000, 9, 100_000, 0, 7])))


def test_columns_too_many_for_blocks_change_no_bit() -> None:
    x, y = clouds(80, 9000)
    assert_all_agree(({"random_state": 0}, x, y, None))
    assert_all_agree(({"random_state": 0, "max_bins": 30}, x, y, None))


def test_a_feature_drawn_by_both_comes_from_the_same_draws() -> None:
    x, y = clouds(400, 30)
    x[:, ::2] = 1.0
    assert_all_agree(({"max_features": 2, "random_state": 3}, x, y, None))


def test_more_classes_than_16_bits_are_left_to_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert growing_native_module.can_grow(10, 65_535)
    assert not growing_native_module.can_grow(10, 65_536)
    assert not growing_native_module.can_grow(2**32, 2)
    x, y = clouds(60, 3)
    in_c = dumps(DecisionTreeClassifier(random_state=0).fit(x, y))
    monkeypatch.setattr(growing_native_module, "MOST_CLASSES", 2)
    grown: list[int] = []

    def counted(*args: Any) -> Any:
        grown.append(1)
        return grow(*args)

    monkeypatch.setattr(planting_module, "grow", counted)
    assert dumps(DecisionTreeClassifier(random_state=0).fit(x, y)) == in_c
    assert grown == [1]


def test_too_little_memory_is_an_error_and_no_crash() -> None:
    class Empty:
        """Stands for kernels that could not get any memory."""

        def __getitem__(self, name: str) -> Any:
            assert name == "forest_plant"
            return lambda *_: None

    x, y = clouds(30, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planting_module, "library", Empty)
        with pytest.raises(MemoryError, match="not enough memory to grow a tree"):
            DecisionTreeClassifier(random_state=0).fit(x, y)


class LookedUpAnew(ctypes.CDLL):
    """What a thread may see while others look the same function up for the first time."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def test_a_function_that_other_threads_look_up_too_gives_a_whole_pointer() -> None:
    kernels = LookedUpAnew(str(native.path_of(native.build_in_use())))
    x, y = clouds(60, 3)
    case: Case = ({"random_state": 0}, x, y, None)
    assert fitted_by(kernels, case) == fitted_by(None, case)
    assert all(getattr(kernel, "argtypes", None) for kernel in kernels_of(kernels))


def test_subnormal_scales_and_wide_ranges_change_no_bit() -> None:
    x, y = clouds(60, 3)
    for least in (5e-324, 1e-300, 1e-30):
        for criterion in ("gini", "entropy"):
            params = {"class_weight": {0: 1e300, 1: 1.0, 2: least}, "criterion": criterion}
            assert_all_agree(({**params, "random_state": 0}, x, y, None))
    assert math.isfinite(least)
