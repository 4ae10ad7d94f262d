"""Made-up drivers look like drivers: levels, blinks, microsleeps, and the same ones each time."""

from itertools import islice, pairwise, takewhile

import pytest

from astralytiq.engines import eyes
from astralytiq.engines.eyes import Span, trace
from astralytiq.engines.severity import Rule


def seen(seed: str, seconds: float, rate: float = 2) -> list[Span]:
    return list(takewhile(lambda span: span.at < seconds, trace(seed, rate)))


def test_one_seed_gives_one_trace() -> None:
    assert seen("7/1", 60) == seen("7/1", 60) != seen("7/2", 60)


def test_spans_follow_one_another_without_a_gap() -> None:
    for one, following in pairwise(seen("a", 600)):
        assert one.seconds > 0
        assert following.at == pytest.approx(one.end)


def test_drivers_blink_as_people_do_and_some_fall_asleep() -> None:
    spans = [span for n in range(40) for span in seen(f"driver {n}", 600)]
    closed = [span for span in spans if Rule().is_closed(span.ear)]
    blinks = [span for span in closed if not span.is_drowsy]
    naps = [span for span in closed if span.is_drowsy]
    a_minute = len(blinks) / (40 * 10)
    assert 10 < a_minute < 18
    assert all(0.1 <= blink.seconds <= 0.4 for blink in blinks)
    assert naps
    assert all(0.5 <= nap.seconds <= 15 for nap in naps)
    assert not any(span.is_drowsy for span in spans if span not in naps)
    assert all(0.26 <= span.ear <= 0.45 for span in spans if not Rule().is_closed(span.ear))


def test_open_eyes_are_told_as_often_as_asked() -> None:
    spans = list(islice(trace("a", 5), 400))
    assert max(span.seconds for span in spans if span.ear > eyes.CLOSED[1]) <= 0.2
