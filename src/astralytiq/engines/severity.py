"""How grave a closure of the eyes is, and how much of a minute they were closed.

The eye aspect ratio (EAR) is the height of the eye over its width, from six landmarks of a face; it
stays near a constant while the eye is open and falls towards zero as it closes (T. Soukupová and
J. Čech, "Real-Time Eye Blink Detection using Facial Landmarks", 21st Computer Vision Winter
Workshop, 2016). A blink takes 100 to 400 ms; eyes that stay closed longer are what drowsiness looks
like. PERCLOS is the share of a time, usually a minute, in which the eyes are closed (W. W.
Wierwille et al., "Research on Vehicle-Based Driver Status/Performance Monitoring", DOT HS 808 247,
1994; there: the lids cover 80 % of the pupil or more, which an EAR only stands in for).

This is a screening rule. It makes no medical claim and no claim of safety: thresholds differ
between people, cameras and glasses, so they are settings.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

SEVERITIES = ("none", "low", "medium", "high", "critical")
NONE, LOW = 0, 1
MINUTE_MS = 60_000.0
COVERED = 0.75  # of a minute: less of it says too little about the whole


@dataclass(frozen=True)
class Rule:
    """When eyes count as closed, and from how many milliseconds on that is graver than `low`."""

    open_above: float = 0.25
    medium_ms: float = 2_000.0
    high_ms: float = 5_000.0
    critical_ms: float = 10_000.0

    @cached_property
    def steps(self) -> tuple[float, float, float]:
        return self.medium_ms, self.high_ms, self.critical_ms

    def is_closed(self, ear: float) -> bool:
        return ear <= self.open_above

    def place(self, ear: float, duration_ms: float) -> int:
        """The place in SEVERITIES of eyes with this ratio for so long."""
        return LOW + bisect_right(self.steps, duration_ms) if ear <= self.open_above else NONE

    def severity(self, ear: float, duration_ms: float) -> str:
        return SEVERITIES[self.place(ear, duration_ms)]


def perclos(closed_ms: float, covered_ms: float) -> float | None:
    """The share of a minute in which the eyes were closed; None if too little of it was seen."""
    if covered_ms < COVERED * MINUTE_MS:
        return None
    return closed_ms / covered_ms
