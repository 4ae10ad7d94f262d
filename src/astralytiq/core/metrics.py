"""How many requests there were, how long they took and how they ended: measured in bounded memory.

Durations are counted in bins that grow by a fixed factor, as HDR histograms do: a quantile is told
to within 4.5 % of itself, whatever its size. Time is cut into slots of five seconds, which are
added up to minutes, of which an hour is kept; so a request costs a look-up and a few additions.

All figures are of this process: each of several API processes counts its own.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import log2, sqrt

SHORTEST = 1e-5  # seconds: the first bin holds all that is shorter
BINS_AN_OCTAVE = 8
LAST_BIN = 24 * BINS_AN_OCTAVE  # from 168 s on
GROWTH: float = 2 ** (1 / BINS_AN_OCTAVE)
QUANTILE_ERROR = sqrt(GROWTH) - 1

SLOT_SECONDS, MINUTE = 5.0, 60.0
WINDOWS = {"1m": 60.0, "5m": 300.0, "15m": 900.0, "60m": 3600.0}
MOST_DOORS = (
    1000  # Paths are templates, so there are fewer; should one not be, memory stays bounded.
)

Door = tuple[str, str]  # method and path template
OTHER: Door = ("OTHER", "(other)")


def bin_of(seconds: float) -> int:
    if seconds <= SHORTEST:
        return 0
    return min(int(log2(seconds / SHORTEST) * BINS_AN_OCTAVE) + 1, LAST_BIN)


def longest_of(bin_: int) -> float:
    """The longest duration, in seconds, that a bin but the last counts."""
    return SHORTEST * float(GROWTH**bin_)


class Tally:
    """What was counted of one door, or of all."""

    __slots__ = ("bins", "client_errors", "count", "seconds", "server_errors", "slowest")

    def __init__(self) -> None:
        self.count = self.client_errors = self.server_errors = 0
        self.seconds = self.slowest = 0.0
        self.bins: dict[int, int] = {}

    def add(self, seconds: float, status: int) -> None:
        self.count += 1
        self.seconds += seconds
        if seconds > self.slowest:
            self.slowest = seconds
        if status >= 500:
            self.server_errors += 1
        elif status >= 400:
            self.client_errors += 1
        bin_ = bin_of(seconds)
        self.bins[bin_] = self.bins.get(bin_, 0) + 1

    def merge(self, other: "Tally") -> None:
        self.count += other.count
        self.client_errors += other.client_errors
        self.server_errors += other.server_errors
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        for bin_, count in other.bins.items():
            self.bins[bin_] = self.bins.get(bin_, 0) + count

    @property
    def mean(self) -> float:
        return self.seconds / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which `share` of the requests were answered (the middle of its bin)."""
        wanted, seen = share * self.count, 0
        for bin_ in sorted(self.bins):
            seen += self.bins[bin_]
            if seen >= wanted:
                return min(longest_of(bin_) / sqrt(GROWTH), self.slowest)
        return 0.0


Tallies = dict[Door, Tally]


@dataclass
class Slot:
    """What was counted within a time; the end is known when it is over."""

    began: float
    ended: float = 0.0
    tallies: Tallies = field(default_factory=dict)

    def take_in(self, tallies: Tallies) -> None:
        for door, tally in tallies.items():
            self.tallies.setdefault(door, Tally()).merge(tally)


@dataclass(frozen=True)
class Snapshot:
    """What was counted up to a moment: other threads may read it while requests go on."""

    taken: float
    slots: tuple[Slot, ...]
    minutes: tuple[Slot, ...]
    total: Slot

    def window(self, seconds: float) -> Slot:
        """The slots that reach into the last `seconds`: up to one slot more than was asked for."""
        parts = self.slots if seconds <= MINUTE else self.minutes
        return joined([one for one in parts if one.ended > self.taken - seconds], self.taken)


def joined(slots: Iterable[Slot], ended: float) -> Slot:
    every = list(slots)
    whole = Slot(min((one.began for one in every), default=ended), ended)
    for one in every:
        whole.take_in(one.tallies)
    return whole


class Performance:
    """Counts the requests of one application. For its event loop alone; snapshots are for all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        now = clock()
        self._total, self._minute, self._slot = Slot(now), Slot(now), Slot(now)
        self._slots: deque[Slot] = deque(maxlen=round(MINUTE / SLOT_SECONDS) + 1)
        self._minutes: deque[Slot] = deque(maxlen=round(WINDOWS["60m"] / MINUTE) + 1)
        self._slot_ends, self._minute_ends = now + SLOT_SECONDS, now + MINUTE
        self._doors: set[Door] = set()
        self.in_progress = 0

    def record(self, door: Door, seconds: float, status: int) -> None:
        now = self._clock()
        if now >= self._slot_ends:
            self._turn(now)
        tally = self._slot.tallies.get(door)
        if tally is None:
            tally = self._tally_of(door)
        tally.add(seconds, status)

    def _tally_of(self, door: Door) -> Tally:
        if door not in self._doors:
            if len(self._doors) >= MOST_DOORS:
                door = OTHER
            self._doors.add(door)
        return self._slot.tallies.setdefault(door, Tally())

    def _turn(self, now: float) -> None:
        """Close the slot, and the minute if it is over: the only work that grows with the doors."""
        self._slot.ended = min(now, self._slot_ends)
        self._slots.append(self._slot)
        self._total.take_in(self._slot.tallies)
        self._minute.take_in(self._slot.tallies)
        if now >= self._minute_ends:
            self._minute.ended = min(now, self._minute_ends)
            self._minutes.append(self._minute)
            self._minute, self._minute_ends = Slot(now), now + MINUTE
        self._slot, self._slot_ends = Slot(now), now + SLOT_SECONDS

    def snapshot(self) -> Snapshot:
        """Cheap: slots that are over no longer change, and are not copied."""
        now = self._clock()
        if now >= self._slot_ends:
            self._turn(now)
        open_slot = joined([self._slot], now)
        minute = joined([self._minute, open_slot], now)
        total = joined([self._total, open_slot], now)
        return Snapshot(now, (*self._slots, open_slot), (*self._minutes, minute), total)
