"""Counts that can be added up in any order: of hours, of challengers, of told truths.

Everything is JSON: objects whose numbers are sums. A list is an extreme: the value, and how many
rows had it. So hours make days, and what was counted twice at different times is one count.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from astralytiq.core.rows import to_json

Tally = dict[str, Any]

# DDSketch (Masson, Rim and Lee 2019, PVLDB 12): bins whose edges grow by a factor, so that each
# quantile is within 1 % of the value at its rank, and sketches add up bin by bin.
ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LOG_GAMMA = math.log(GAMMA)
LARGEST = 1e100  # of a number: its square still is one


def added(one: Tally, two: Tally) -> Tally:
    return total((one, two))


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of all of them, in which none of them is changed."""
    found: Tally = {}
    for one in tallies:
        absorb(found, one)
    return found


def absorb(into: Tally, more: Tally) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            absorb(into.setdefault(name, {}), value)
        elif name not in into:
            into[name] = value
        elif isinstance(value, list):
            into[name] = extreme(name, into[name], value)
        else:
            into[name] += value


def extreme(name: str, one: list[Any], two: list[Any]) -> list[Any]:
    if one[0] == two[0]:
        return [one[0], one[1] + two[1]]
    return (min if name == "low" else max)(one, two)


# Labels -----------------------------------------------------------------------------------------


def key(*labels: Any) -> str:
    """Labels as the name of a count: 1, true and "1" differ, 1 and 1.0 do not."""
    return to_json([whole(label) for label in labels])


def labels_of(name: str) -> list[Any]:
    """The labels that `key` named."""
    found: list[Any] = msgspec.json.decode(name)
    return found


def whole(label: Any) -> Any:
    return int(label) if isinstance(label, float) and label.is_integer() else label


def counted_labels(labels: Iterable[Any]) -> Tally:
    return {key(label): count for label, count in Counter(labels).items()}


# Latency ----------------------------------------------------------------------------------------


def latency(microseconds: Sequence[int]) -> Tally:
    return {
        "us": sum(microseconds),
        "bins": dict(Counter(str(bin_of(one)) for one in microseconds)),
    }


def bin_of(microseconds: int) -> int:
    return math.ceil(math.log(microseconds) / LOG_GAMMA) if microseconds > 1 else 0


def milliseconds(tally: Tally) -> dict[str, float] | None:
    """Mean and percentiles; None before the first."""
    bins = sorted((int(place), count) for place, count in tally.get("bins", {}).items())
    count = sum(one for _, one in bins)
    if not count:
        return None
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    found = {name: quantile(bins, share * (count - 1)) for name, share in shares.items()}
    return {"mean_ms": round(tally["us"] / count / 1000, 3), **found}


def quantile(bins: Sequence[tuple[int, int]], rank: float) -> float:
    ends = list(accumulate(count for _, count in bins))
    place = bins[bisect_right(ends, rank)][0]
    return round(2 * GAMMA**place / (GAMMA + 1) / 1000, 3)


# Truth ------------------------------------------------------------------------------------------


def judged(truth: Any, predicted: Any, *, numbers: bool, times: int = 1) -> Tally:
    """One row whose truth was told; with `times` of -1 it is taken back."""
    if not numbers:
        return {"outcomes": times, "pairs": {key(truth, predicted): times}}
    if not is_usable(predicted):
        return {"unusable": times}
    error = truth - predicted
    sums = {"error": abs(error), "error2": error * error, "truth": truth, "truth2": truth * truth}
    return {"outcomes": times, **{name: times * value for name, value in sums.items()}}


def is_usable(number: Any) -> bool:
    """A regression may say what is no number, or one whose square is none."""
    return isinstance(number, int | float) and abs(number) <= LARGEST


def metrics(tally: Tally, classes: Sequence[Any]) -> dict[str, float]:
    """Named as at training; none before the first outcome."""
    if not tally.get("outcomes"):
        return {}
    return scores(tally["pairs"], classes) if "pairs" in tally else errors(tally)


def errors(tally: Tally) -> dict[str, float]:
    count = tally["outcomes"]
    squares = max(0.0, tally["error2"])
    spread = max(0.0, tally["truth2"] - tally["truth"] ** 2 / count)
    return {
        "r2": 1 - squares / spread if spread > 0 else float(squares == 0),
        "rmse": math.sqrt(squares / count),
        "mae": max(0.0, tally["error"]) / count,
    }


def scores(pairs: Mapping[str, int], classes: Sequence[Any]) -> dict[str, float]:
    import numpy as np  # noqa: PLC0415 - the API starts without it

    from astralytiq.engines.models import metrics as engine  # noqa: PLC0415 - needs NumPy

    return engine.scores(np.array(confusion(pairs, classes), dtype=np.int64))


def confusion(pairs: Mapping[str, int], classes: Sequence[Any]) -> list[list[int]]:
    """[first][second] in the order of `classes`."""
    return [[pairs.get(key(first, second), 0) for second in classes] for first in classes]


# A challenger beside a champion -----------------------------------------------------------------


def compared(champion: Sequence[Any], challenger: Sequence[Any], *, numbers: bool) -> Tally:
    """What both said of the same rows."""
    if numbers:
        pairs = zip(champion, challenger, strict=True)
        gaps = [abs(one - two) for one, two in pairs if is_usable(one) and is_usable(two)]
        return {"rows": len(gaps), "difference": math.fsum(gaps), "high": furthest(gaps)}
    counts = Counter(zip(champion, challenger, strict=True))
    return {"rows": len(champion), "pairs": {key(*pair): n for pair, n in counts.items()}}


def furthest(gaps: Sequence[float]) -> list[Any]:
    most = max(gaps, default=0.0)
    return [most, gaps.count(most)]
