"""The drowsiness rule: its bounds as documented, and an order that no pair of readings breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astralytiq.engines import severity
from astralytiq.engines.severity import SEVERITIES, Rule, perclos

EARS = st.floats(0, 1)
DURATIONS = st.floats(0, 86_400_000)


@pytest.mark.parametrize(
    ("ear", "duration_ms", "expected"),
    [
        (0.26, 60_000, "none"),
        (0.2500001, 60_000, "none"),
        (0.25, 0, "low"),
        (0.25, 1_999.999, "low"),
        (0.1, 2_000, "medium"),
        (0.1, 4_999.999, "medium"),
        (0.1, 5_000, "high"),
        (0.1, 9_999.999, "high"),
        (0.0, 10_000, "critical"),
        (0.0, 86_400_000, "critical"),
    ],
)
def test_the_bounds_are_those_of_the_documentation(
    ear: float, duration_ms: float, expected: str
) -> None:
    assert Rule().severity(ear, duration_ms) == expected


@given(EARS, EARS, DURATIONS, DURATIONS)
def test_wider_eyes_and_shorter_closures_are_never_graver(
    ear: float, other_ear: float, duration: float, other_duration: float
) -> None:
    rule = Rule()
    wider, narrower = max(ear, other_ear), min(ear, other_ear)
    shorter, longer = sorted((duration, other_duration))
    assert rule.place(wider, shorter) <= rule.place(narrower, longer)


@given(
    st.floats(0, 1),
    st.lists(st.floats(1, 1e7), min_size=3, max_size=3, unique=True),
    EARS,
    DURATIONS,
)
def test_other_thresholds_move_the_bounds_and_nothing_else(
    open_above: float, steps: list[float], ear: float, duration: float
) -> None:
    medium, high, critical = sorted(steps)
    found = Rule(open_above, medium, high, critical).severity(ear, duration)
    assert (found == "none") == (ear > open_above)
    if found != "none":
        passed = sum(duration >= step for step in (medium, high, critical))
        assert found == SEVERITIES[1 + passed]


@given(st.floats(0, 120_000), st.floats(0, 1))
def test_perclos_is_a_share_of_what_was_seen(covered: float, share: float) -> None:
    found = perclos(share * covered, covered)
    if covered < severity.COVERED * severity.MINUTE_MS:
        assert found is None
    else:
        assert found == pytest.approx(share)
