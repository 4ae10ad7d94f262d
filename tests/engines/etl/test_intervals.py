"""Intervals hold the values they were given, however they came."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from astralytiq.engines.etl.intervals import merged, reached

ENDS = st.integers(-20, 20)
INTERVALS = st.lists(st.tuples(st.none() | ENDS, ENDS), max_size=8)
VALUES = range(-25, 26)


def holds(low: int | None, high: int, value: int) -> bool:
    return (low is None or low <= value) and value <= high


def covered(parts: list[tuple[int | None, int]], value: int) -> bool:
    return any(holds(*part, value) for part in parts)


@given(INTERVALS)
def test_a_value_is_held_exactly_if_one_of_the_parts_held_it(
    parts: list[tuple[int | None, int]],
) -> None:
    union = merged(parts)
    for value in VALUES:
        assert covered(union, value) == covered(parts, value)


@given(INTERVALS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetition_make_no_difference(
    parts: list[tuple[int | None, int]], chance: Random
) -> None:
    shuffled = parts * 2
    chance.shuffle(shuffled)
    one_by_one: list[tuple[int | None, int]] = []
    for part in shuffled:
        one_by_one = merged([*one_by_one, part])
    assert one_by_one == merged(parts)


@given(INTERVALS)
def test_what_is_merged_is_ascending_with_gaps_between(
    parts: list[tuple[int | None, int]],
) -> None:
    union = merged(parts)
    for (_, high), (low, _) in pairwise(union):
        assert low is not None
        assert high < low


@given(INTERVALS, st.none() | ENDS)
def test_everything_from_the_start_to_what_is_reached_is_held(
    parts: list[tuple[int | None, int]], start: int | None
) -> None:
    union = merged(parts)
    end = reached(union, start)
    if start is None:
        assert (end is None) == (not union or union[0][0] is not None)
    else:
        assert end is not None
        assert end >= start
    if end is None or end == start:
        return
    assert all(covered(union, value) for value in VALUES if holds(start, end, value))
    assert not any(low is not None and low <= end < high for low, high in union if high != end)


def test_a_gap_is_where_reading_goes_on() -> None:
    union = merged([(40, 50), (20, 30), (28, 33)])
    assert union == [(20, 33), (40, 50)]
    assert (reached(union, 20), reached(union, 35), reached(union, 45)) == (33, 35, 50)
    assert reached(union, None) is None  # Nobody has read what lies before 20.
