"""Drift is measured from two profiles, and close to what the data itself would give."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstwo  # type: ignore[import-untyped]

from astralytiq.engines.tabular.drift import Drift, chance, drift
from astralytiq.engines.tabular.profile import asdict, profile

from .conftest import Make


def between(make: Make, before: Any, after: Any) -> Drift:
    (found,) = tables(make, {"x": before}, {"x": after})
    return found


def tables(make: Make, before: dict[str, Any], after: dict[str, Any]) -> list[Drift]:
    found = drift(profile(make(before, "before.parquet")), profile(make(after, "after.parquet")))
    json.dumps([asdict(one) for one in found], allow_nan=False)
    return found


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=3000),
        [True, False, None],
        ["a", "b", None] * 10,
        [datetime(2024, 1, 1, tzinfo=UTC), None],
        [1],
        [f"id {number}" for number in range(1000)],
    ],
)
def test_a_table_has_not_drifted_from_itself(make: Make, values: Any) -> None:
    found = between(make, values, values)
    assert (found.kind, found.verdict) == ("compared", "none")
    assert found.psi == pytest.approx(0)
    assert found.ks in (None, 0.0)
    assert found.ks_p in (None, 1.0)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.0, "none"), (0.05, "none"), (0.4, "moderate"), (1.0, "major")]
)
def test_verdicts_follow_the_index(make: Make, shift: float, verdict: str) -> None:
    """Of two normal distributions the index is the shift squared, and less in ten bins."""
    rng = np.random.default_rng(1)
    found = between(make, rng.normal(size=20_000), rng.normal(shift, size=20_000))
    assert found.verdict == verdict
    assert found.psi is not None
    assert found.psi == pytest.approx(shift**2, rel=0.15, abs=0.01)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "uniform", "standard_cauchy"])
@pytest.mark.parametrize("way", [0.0, 0.1, 1.0])
def test_the_distance_is_close_to_that_of_the_data(make: Make, draw: str, way: float) -> None:
    rng = np.random.default_rng(2)
    before = getattr(rng, draw)(size=5000)
    after = getattr(rng, draw)(size=3000) + way
    found, exact = between(make, before, after), ks_2samp(before, after)
    assert found.ks is not None
    assert found.ks == pytest.approx(float(exact.statistic), abs=1 / 128)
    assert found.ks_low is not None
    assert found.ks_high is not None
    assert found.ks_low <= exact.statistic <= found.ks_high
    assert found.ks_high - found.ks_low <= 3 / 128
    # A tail of it: where chance makes such gaps often, it follows each step of the data.
    assert found.ks_p is not None
    assert (found.ks_p < 0.01) == (exact.pvalue < 0.01)


@pytest.mark.parametrize("gap", [0.01, 0.03, 0.05, 0.1])
def test_the_likelihood_of_a_gap_is_that_of_kolmogorov(gap: float) -> None:
    expected = kstwo.sf(gap, 2000 * 3000 // (2000 + 3000))
    assert chance(gap, 2000, 3000) == pytest.approx(expected, rel=0.02, abs=1e-6)


def test_the_distance_of_few_different_values_is_exact(make: Make) -> None:
    rng = np.random.default_rng(3)
    before, after = rng.integers(0, 100, 4000), rng.integers(20, 128, 3000)
    found = between(make, before, after)
    assert found.ks == found.ks_low == found.ks_high
    assert found.ks == pytest.approx(ks_2samp(before, after).statistic)


VALUES = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.floats(-100, 100)), min_size=1, max_size=400
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(VALUES, VALUES)
def test_the_bounds_hold_for_any_values(
    make: Make, before: list[float], after: list[float]
) -> None:
    found = between(make, before, after)
    every = np.unique([*before, *after])
    functions = [
        np.searchsorted(np.sort(one), every, "right") / len(one) for one in (before, after)
    ]
    exact = float(np.abs(functions[0] - functions[1]).max())
    assert found.ks_low is not None
    assert found.ks is not None
    assert found.ks_high is not None
    assert found.ks_low - 1e-9 <= exact <= found.ks_high + 1e-9
    assert found.ks_low - 1e-9 <= found.ks <= found.ks_high + 1e-9
    assert found.psi is not None
    assert math.isfinite(found.psi)
    assert found.psi >= 0


def test_the_same_bins_are_taken_for_both_whichever_way_they_lie(make: Make) -> None:
    """By hand: shares 1/2 and 1/2 become 9/10 and 1/10, and half a row more in each bin."""
    before, after = ["a", "b"] * 500, ["a"] * 900 + ["b"] * 100
    a, b = (np.array(part) for part in ([500.5, 500.5, 0.5, 0.5], [900.5, 100.5, 0.5, 0.5]))
    a, b = a / a.sum(), b / b.sum()
    expected = float(((b - a) * np.log(b / a)).sum())
    found = between(make, before, after)
    assert found.psi == pytest.approx(expected)
    assert found.verdict == "major"
    assert between(make, after, before).psi == pytest.approx(expected)


def test_a_new_category_and_a_new_whole_number_are_seen(make: Make) -> None:
    words = between(make, ["a", "b"] * 500, ["a", "b", "c"] * 300)
    assert words.verdict == "major"
    numbers = between(make, [*range(10)] * 100, [*range(11)] * 100)
    assert numbers.verdict == "major"


def test_missing_values_that_were_none_before_are_drift(make: Make) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=5000)
    found = between(make, values, pa.array(values, mask=rng.random(5000) < 0.3))
    assert (found.verdict, found.missing_before) == ("major", 0.0)
    assert found.missing_after == pytest.approx(0.3, abs=0.03)
    assert found.ks is not None
    assert found.ks < 0.05


def test_small_tables_that_differ_by_chance_have_not_drifted(make: Make) -> None:
    """Of 40 pairs of 30 rows each, from one source, no more than a few are called drift."""
    rng = np.random.default_rng(5)
    pairs = [(rng.normal(size=30), rng.normal(size=30)) for _ in range(40)]
    found = [between(make, *pair) for pair in pairs]
    assert sum((one.psi or 0) >= 0.1 for one in found) > 30
    assert sum(one.verdict != "none" for one in found) <= 6
    assert between(make, rng.normal(size=30), rng.normal(2, size=30)).verdict == "major"


def test_moments_drift_like_numbers(make: Make) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    before = [start + timedelta(hours=step) for step in range(500)]
    after = [moment + timedelta(hours=250) for moment in before]
    found = between(make, before, after)
    assert found.verdict == "major"
    assert found.ks == pytest.approx(0.5, abs=0.01)


def test_columns_that_come_go_or_change_are_named(make: Make) -> None:
    before = {"stays": [1, 2], "goes": [1, 2], "changes": [1, 2], "widens": [1, 2]}
    after = {"changes": ["1", "2"], "comes": ["a", "b"], "widens": [1.0, 2.0], "stays": [1, 2]}
    found = tables(make, before, after)
    assert [(one.column, one.kind, one.before, one.after) for one in found] == [
        ("stays", "compared", "int64", "int64"),
        ("goes", "removed", "int64", None),
        ("changes", "type_changed", "int64", "string"),
        ("widens", "compared", "int64", "float64"),
        ("comes", "added", None, "string"),
    ]
    assert [one.verdict for one in found] == ["none", "major", "major", "none", "major"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (pa.array([], pa.int64()), [1, 2]),
        ([1, 2], pa.array([], pa.int64())),
        ([[1]], [[2]]),
        ([b"a"], [b"b"]),
    ],
)
def test_what_cannot_be_compared_says_so(make: Make, before: Any, after: Any) -> None:
    found = between(make, before, after)
    assert (found.kind, found.verdict, found.psi) == ("not_compared", None, None)


def test_a_column_of_nulls_drifts_when_values_come(make: Make) -> None:
    nulls = pa.array([None] * 200, pa.float64())
    found = between(make, nulls, np.arange(200.0))
    assert (found.kind, found.verdict, found.ks) == ("compared", "major", None)
    assert between(make, nulls, nulls).verdict == "none"


def test_numbers_at_the_edge_of_what_a_float_holds_are_compared(make: Make) -> None:
    found = between(make, [-1.7e308, 0.0, 1.7e308] * 100, [-1.7e308, 1.0, 1.7e308] * 100)
    assert found.ks == pytest.approx(1 / 3)


def test_values_that_hardly_differ_are_compared(make: Make) -> None:
    """A way divided by less than a float can halve, or by so little that it leaves floats."""
    found = between(make, [0.0, 5e-324, 3e-323, 1.0], [0.0, 1e-323, 2e-323, 50.0])
    assert found.ks == pytest.approx(0.25)
