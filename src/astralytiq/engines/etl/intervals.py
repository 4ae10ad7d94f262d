"""Closed intervals of an order: what of it is done, whatever the order in which it was done.

The low end None is the beginning of everything. Values need only compare with one another.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, Self, TypeVar


class Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...
    def __le__(self, other: Self, /) -> bool: ...


Value = TypeVar("Value", bound=Ordered)
Interval = tuple[Value | None, Value]


def merged(intervals: Iterable[Interval[Value]]) -> list[Interval[Value]]:
    """The same values as few intervals, ascending; what overlaps or touches is one."""
    result: list[Interval[Value]] = []
    for low, high in ascending(intervals):
        if result and (low is None or low <= result[-1][1]):
            first, last = result[-1]
            result[-1] = (first, max(last, high))
        else:
            result.append((low, high))
    return result


def ascending(intervals: Iterable[Interval[Value]]) -> list[Interval[Value]]:
    """By their low ends. An interval that ends before it begins holds nothing."""
    every = list(intervals)
    endless = [(low, high) for low, high in every if low is None]
    bounded = [(low, high) for low, high in every if low is not None and low <= high]
    return [*endless, *sorted(bounded, key=lambda one: one[0])]


def reached(intervals: Sequence[Interval[Value]], start: Value | None) -> Value | None:
    """How far everything from `start` on is done; `start` itself where nothing is.

    `intervals` are merged. What lies behind a gap is done, too, but reading goes on at the gap.
    """
    for low, high in intervals:
        if low is None or (start is not None and low <= start):
            if start is None or start <= high:
                return high
        else:
            break
    return start
