"""Made-up drivers: traces of the eye aspect ratio as a camera in a car would tell them.

Open eyes stay near a level of the driver's own. They blink some 15 times a minute, for 100 to
400 ms. Now and then eyes stay closed for half a second up to a quarter of a minute: a microsleep,
rare for most, frequent for the drowsy. One seed gives one trace.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

BLINKS_A_SECOND = 0.25
BLINK = (0.1, 0.4)  # seconds
MICROSLEEP = (0.5, 15.0)
LEVEL = (0.28, 0.35)
OPEN, CLOSED = (0.26, 0.45), (0.03, 0.15)
NOISE = 0.008
DROWSY_SHARE = 0.25  # of the drivers
# Of all closures, those that are microsleeps: of a driver who is awake, and of one who is drowsy.
AWAKE, DROWSY = 0.002, 0.08


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the eyes were open, or closed: `at` and `seconds` from the trace's start."""

    at: float
    seconds: float
    ear: float
    is_drowsy: bool

    @property
    def end(self) -> float:
        return self.at + self.seconds


def trace(seed: str, rate: float) -> Iterator[Span]:
    """One span after the other, without a gap and without an end; open eyes `rate` times a second.

    A closure is one span, however long: its length is what tells a blink from sleep.
    """
    chance = random.Random(seed)
    level = chance.uniform(*LEVEL)
    sleepy = DROWSY if chance.random() < DROWSY_SHARE else AWAKE
    at, closes = 0.0, chance.expovariate(BLINKS_A_SECOND)
    while True:
        for one in looking(chance, level, at, closes, 1 / rate):
            yield one
            at = one.end
        asleep = chance.random() < sleepy
        seconds = nap(chance) if asleep else chance.uniform(*BLINK)
        yield Span(at, seconds, round(chance.uniform(*CLOSED), 4), asleep)
        at += seconds
        closes = at + chance.expovariate(BLINKS_A_SECOND)


def looking(
    chance: random.Random, level: float, at: float, until: float, step: float
) -> Iterator[Span]:
    while at < until:
        seconds = min(step, until - at)
        ear = min(max(chance.gauss(level, NOISE), OPEN[0]), OPEN[1])
        yield Span(at, seconds, round(ear, 4), is_drowsy=False)
        at += seconds


def nap(chance: random.Random) -> float:
    """Short ones are the most."""
    return min(max(chance.lognormvariate(0.7, 0.8), MICROSLEEP[0]), MICROSLEEP[1])
