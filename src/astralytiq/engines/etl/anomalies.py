"""Which measures of a run differ from those of the runs before it: robust z-scores.

A score is the distance from the median of the history, in units of its median absolute deviation
scaled to a standard deviation (Iglewicz and Hoaglin 1993). A history that never varied would make
every change infinite: each measure has a least spread below which a difference means nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LEAST_HISTORY = 5
THRESHOLD = 3.5
TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Floor:
    """The least spread of a measure, absolute and as a share of its median."""

    absolute: float
    share: float = 0.0


@dataclass(frozen=True)
class Anomaly:
    measure: str
    value: float
    low: float
    high: float
    score: float


def judge(
    history: Sequence[Mapping[str, float]],
    current: Mapping[str, float],
    floors: Mapping[str, Floor],
) -> list[Anomaly]:
    """Of each measure named "kind" or "kind:what" whose kind has a floor."""
    found = []
    for measure, value in current.items():
        past = [run[measure] for run in history if measure in run]
        if len(past) >= LEAST_HISTORY:
            one = compared(measure, past, value, floors[measure.partition(":")[0]])
            found += [one] if abs(one.score) > THRESHOLD else []
    return found


def compared(measure: str, past: Sequence[float], value: float, floor: Floor) -> Anomaly:
    middle = median(past)
    deviation = TO_DEVIATION * median(abs(one - middle) for one in past)
    spread = max(deviation, floor.absolute, floor.share * abs(middle))
    reach = THRESHOLD * spread
    return Anomaly(
        measure, value, max(0.0, middle - reach), middle + reach, (value - middle) / spread
    )
