"""Robust scores, and the profiles that some of the measures come from."""

import json
from typing import Any

import pytest

from astralytiq.engines.etl import profiles
from astralytiq.engines.etl.anomalies import Floor, judge
from astralytiq.engines.etl.values import from_csv

FLOORS = {"rows": Floor(1, 0.05), "ratio": Floor(0.01)}


def scored(history: list[float], value: float, measure: str = "rows") -> list[float]:
    past = [{measure: one} for one in history]
    return [round(one.score, 3) for one in judge(past, {measure: value}, FLOORS)]


def test_a_score_is_the_distance_from_the_median_in_robust_deviations() -> None:
    history = [80.0, 90, 100, 110, 120]  # MAD 10, so that a deviation is 14.826
    assert scored(history, 160) == [round(60 / 14.826, 3)]
    assert scored(history, 150) == []
    (one,) = judge([{"rows": value} for value in history], {"rows": 0}, FLOORS)
    assert (round(one.low, 3), round(one.high, 3)) == (48.109, 151.891)


def test_one_outlier_in_the_history_hides_no_other() -> None:
    assert scored([100, 100, 100, 100, 1_000_000], 150) == [10.0]


def test_a_history_that_never_varied_has_a_least_spread() -> None:
    assert scored([100] * 5, 117) == []
    assert scored([100] * 5, 118) == [3.6]
    assert scored([0.0] * 5, 0.03, "ratio:x") == []
    assert scored([0.0] * 5, 0.04, "ratio:x") == [4.0]


def test_less_than_five_runs_are_no_history() -> None:
    assert scored([100] * 4, 0) == []


def test_what_a_run_does_not_say_is_not_judged() -> None:
    assert judge([{"rows": 1}] * 5 + [{}], {"ratio:x": 1.0}, FLOORS) == []


# Profiles ----------------------------------------------------------------------------------------


def test_a_profile_says_what_fields_hold() -> None:
    rows = [{"a": "1", "b": "x"}, {"a": "2.5", "b": ""}, {"a": "", "b": "x"}]
    fields = profiles.sampled(rows, from_csv)["fields"]
    assert fields["a"] == {
        "present": 3, "null": 1, "types": {"integer": 1, "number": 1}, "min": 1, "max": 2.5,
        "sum": 3.5, "numbers": 2, "values": {"1": 1, "2.5": 1},
    }  # fmt: skip
    assert fields["b"] == {"present": 3, "null": 1, "types": {"text": 2}, "values": {"x": 2}}


def test_profiles_of_batches_add_up() -> None:
    rows = [{"a": at, "b": at % 2 or None} for at in range(10)]
    whole = profiles.sampled(rows)
    merged: profiles.Profile = {}
    for at in range(0, 10, 4):
        merged = profiles.merged(merged, profiles.sampled(rows[at : at + 4]))
    assert merged == whole
    assert profiles.null_ratios(merged) == {"a": 0, "b": 0.5}


def test_a_field_that_some_lack_is_null_there() -> None:
    profile = profiles.sampled([{"a": 1}, {}, {"a": None}, {}])
    assert profiles.null_ratios(profile) == {"a": 0.75}


def test_a_sample_is_bounded_whatever_comes() -> None:
    rows = [{f"f{name}": at for name in range(300)} for at in range(1001)]
    profile = profiles.sampled(rows)
    assert profile["sampled"] <= profiles.SAMPLE
    assert len(profile["fields"]) == profiles.MOST_FIELDS
    assert profile["fields"]["f0"]["values"] is None
    assert profile["fields"]["f0"]["max"] == 990


HOSTILE: dict[str, Any] = {
    "NUL": "\x00" * 1000,
    "too large for a float": 10**5000,
    "nearly too large": -1e300,
    "list": [1],
    "object": {"a": 1},
    "true": True,
    "long": "\U0001f600" * 200,
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_any_value_can_be_stored(value: Any) -> None:
    profile = profiles.merged(profiles.sampled([{"a\x00": value}]), profiles.sampled([7, None]))
    assert "\\u0000" not in json.dumps(profile, allow_nan=False)
    assert len(json.dumps(profile)) < 2000


def test_distance_is_the_share_that_would_have_to_move() -> None:
    def field(values: Any) -> Any:
        return profiles.sampled([{"a": value} for value in values])["fields"]["a"]

    assert profiles.distance(field("aabb"), field("aabb")) == 0
    assert profiles.distance(field("aabb"), field("bbbc")) == 0.5
    assert profiles.distance(field("aa"), field("bb")) == 1
    assert profiles.distance(field(range(30)), field("aa")) is None
