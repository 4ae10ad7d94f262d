"""Minutes of drivers' eyes that are made up: the same ones each time, and as the rule says."""

import hashlib

import numpy as np
import pytest

from astralytiq.engines.synthetic import (
    AT_ONCE,
    COLUMNS,
    HERTZ,
    MISLABELLED,
    SAMPLES,
    Spans,
    drowsiness,
    longest,
    measured,
)


def digest(rows: int, seed: int) -> str:
    table = drowsiness(rows, seed)
    return hashlib.sha256(b"".join(column.tobytes() for column in table.values())).hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    assert digest(200, 7) == digest(200, 7)
    assert digest(200, 7) != digest(200, 8)


def test_whole_blocks_do_not_depend_on_how_many_follow() -> None:
    fewer, more = drowsiness(AT_ONCE, 3), drowsiness(AT_ONCE + 50, 3)
    for name, column in fewer.items():
        assert np.array_equal(column, more[name][:AT_ONCE])
    assert len(more["state"]) == AT_ONCE + 50


def test_both_states_are_there_and_overlap_as_stated() -> None:
    """Judged by the rule on what was seen: mostly right, and wrong at least as often as labels are
    turned round."""
    table = drowsiness(4_000, 0)
    assert list(table) == [column.name for column in COLUMNS]
    is_drowsy = table["state"] == "drowsy"
    assert 0.25 < is_drowsy.mean() < 0.5
    seen = (table["perclos"] >= 0.15) | (table["longest_closure_ms"] >= 1000)
    wrong = (seen != is_drowsy).mean()
    assert MISLABELLED - 0.02 < wrong < 0.3


def test_what_is_measured_of_a_trace_is_what_is_in_it() -> None:
    ear = np.full((2, SAMPLES), 0.3)
    ear[1, 100:140] = 0.1  # two seconds
    ear[1, 0] = ear[1, -1] = 0.1
    found = measured(ear)
    assert found["blinks_per_minute"].tolist() == [0, 3]
    assert found["longest_closure_ms"].tolist() == [0, 2000]
    assert found["perclos"].tolist() == [0, pytest.approx(42 / SAMPLES)]
    assert found["ear_min"].tolist() == [0.3, 0.1]
    assert found["ear_mean"][1] == pytest.approx(0.3 - 0.2 * 42 / SAMPLES, abs=1e-4)


def test_times_may_touch_overlap_and_reach_over_the_end() -> None:
    starts = np.array([[1.0, 2.0, 2.5, 59.5], [0.0, 0.0, 0.0, 0.0]])
    lengths = np.array([[1.0, 1.0, 1.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    seen = Spans(starts, lengths).seen()
    assert seen.sum(axis=1).tolist() == [2.5 * HERTZ + 0.5 * HERTZ, 0]
    assert longest(seen).tolist() == [2.5, 0.0]
