"""How what a version meets and answers differs from its training data, in plain verdicts.

Nothing is called drift that chance alone makes: PSI must lie above what it stays below in 95 of 100
draws from one source (of all inputs together), a loss of quality above 1.645 standard errors.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from astralytiq.engines.tabular import drift
from astralytiq.engines.tabular.drift import Shares
from astralytiq.engines.tabular.histograms import Distribution
from astralytiq.engines.tabular.profile import ColumnProfile

from . import tallies
from .cells import Baseline, live, profile_of
from .schemas_watching import FeatureDrift, Limits, Predicted, Verdict
from .tallies import Tally

CHANCE = 0.05
NORMAL_95 = NormalDist().inv_cdf(1 - CHANCE)
MOST_LABELS = 100


# Inputs -----------------------------------------------------------------------------------------


def inputs(
    baseline: Baseline, counted: Tally, names: Sequence[str], limits: Limits
) -> list[FeatureDrift]:
    """Feature by feature, the furthest first."""
    found = [feature(baseline, counted.get(name, {}), name, limits, len(names)) for name in names]
    return sorted(found, key=lambda one: -(one.psi or 0.0))


def feature(
    baseline: Baseline, counted: Tally, name: str, limits: Limits, features: int
) -> FeatureDrift:
    column = baseline.profile.column(name) if baseline.profile else None
    edges = baseline.edges(name)
    if column is None or edges is None or baseline.profile is None:
        rows = int(counted.get("unbinned", 0))
        return FeatureDrift(feature=name, verdict=Verdict.unknown, rows=rows, rows_before=0)
    seen, before = live(counted, edges), baseline.profile.rows
    listed = column.kind == "bool" or drift.is_listed(column)
    told: dict[str, Any] = {
        "feature": name, "rows": seen.rows, "rows_before": before, "below": seen.below,
        "above": seen.above, "unseen": seen.unseen if listed else None,
    }  # fmt: skip
    if seen.rows < limits.watch_least_rows:
        return FeatureDrift(verdict=Verdict.too_few, **told)
    now = profile_of(seen, column)
    return FeatureDrift(**told, **measured(column, now, before, seen.rows, limits, features))


def measured(
    column: ColumnProfile, now: ColumnProfile, before: int, rows: int, limits: Limits, features: int
) -> dict[str, Any]:
    found = drift.compared(column, now, before, rows)
    counts = drift.bins(column, now, before, rows)
    psi = found.psi or 0.0
    return {
        "verdict": verdict_of(psi, *counts, limits, features),
        "psi": psi,
        **{name: getattr(found, name) for name in ("ks", "ks_low", "ks_high", "ks_p")},
        "median_before": median(column.distribution),
        "median": median(now.distribution),
    }


def verdict_of(
    psi: float, before: Shares, after: Shares, limits: Limits, looks: int = 1
) -> Verdict:
    """With many inputs some lie beyond the 95 % of one by chance: the bound is of all of them."""
    normal = NormalDist().inv_cdf(1 - CHANCE / looks)
    if psi < limits.watch_psi or psi <= drift.by_chance(before, after, normal):
        return Verdict.ok
    return Verdict.drift if psi >= limits.drift_psi else Verdict.watch


def median(known: Distribution | None) -> float | None:
    if known is None:
        return None
    half = known.up_to[-1] / 2
    return float(known.edges[int(np.searchsorted(known.up_to, half))])


# Predictions ------------------------------------------------------------------------------------


def predictions(baseline: Baseline, counted: Tally, limits: Limits) -> Predicted:
    if "numbers" in counted:
        return numbers(baseline, counted["numbers"], limits)
    return labels(baseline, counted.get("labels", {}), limits)


def labels(baseline: Baseline, counted: Mapping[str, int], limits: Limits) -> Predicted:
    names = [*baseline.labels, *(name for name in counted if name not in baseline.labels)]
    before = np.array([baseline.labels.get(name, 0) for name in names], dtype=float)
    now = np.array([counted.get(name, 0) for name in names], dtype=float)
    told: dict[str, Any] = {
        "against": baseline.against, "rows": int(now.sum()), "rows_before": int(before.sum()),
        "counts": shown(names, before, now),
    }  # fmt: skip
    if verdict := too_little(told["rows"], told["rows_before"], limits):
        return Predicted(verdict=verdict, **told)
    psi = drift.stability_index(before, now)
    return Predicted(verdict=verdict_of(psi, before, now, limits), psi=psi, **told)


def shown(names: Sequence[str], before: Shares, now: Shares) -> list[dict[str, Any]]:
    order = np.argsort(-(now + before), kind="stable")[:MOST_LABELS]
    return [
        {"label": tallies.labels_of(names[at])[0], "before": int(before[at]), "now": int(now[at])}
        for at in order
    ]


def numbers(baseline: Baseline, counted: Tally, limits: Limits) -> Predicted:
    known, edges = baseline.predicted, baseline.predicted_edges
    if known is None or edges is None:
        rows = int(counted.get("unbinned", 0))
        return Predicted(verdict=Verdict.unknown, against="", rows=rows, rows_before=0, counts=[])
    seen, before = live(counted, edges), known.up_to[-1]
    told: dict[str, Any] = {
        "against": baseline.against, "rows": seen.rows, "rows_before": before, "counts": [],
    }  # fmt: skip
    verdict = too_little(seen.rows, before, limits)
    if verdict or seen.distribution is None:
        return Predicted(verdict=verdict or Verdict.too_few, **told)
    cuts = drift.deciles(known)
    first = np.array(drift.parted(known, cuts, before))
    second = np.array(drift.parted(seen.distribution, cuts, seen.rows))
    psi = drift.stability_index(first, second)
    return Predicted(
        verdict=verdict_of(psi, first, second, limits),
        psi=psi,
        ks=drift.distances(known, seen.distribution)["ks"],
        median_before=median(known),
        median=median(seen.distribution),
        **told,
    )


def too_little(rows: int, before: int, limits: Limits) -> Verdict | None:
    if not before:
        return Verdict.unknown
    return Verdict.too_few if rows < limits.watch_least_rows else None


# Quality ----------------------------------------------------------------------------------------


def quality(
    found: Mapping[str, float], rows: int, held_out: Mapping[str, float], test_rows: int,
    limits: Limits,
) -> Verdict:  # fmt: skip
    """Accuracy in points, RMSE as a share of itself: worse than on held-out rows?"""
    if rows < limits.watch_least_rows:
        return Verdict.too_few
    name = "accuracy" if "accuracy" in found else "rmse"
    if name not in held_out or not test_rows:
        return Verdict.unknown
    loss, chance = (lost_points if name == "accuracy" else lost_share)(
        held_out[name], test_rows, found[name], rows
    )
    if loss < limits.watch_quality_drop or loss <= chance:
        return Verdict.ok
    return Verdict.drift if loss >= limits.drift_quality_drop else Verdict.watch


def lost_points(before: float, n: int, now: float, m: int) -> tuple[float, float]:
    error = math.sqrt(before * (1 - before) / n + now * (1 - now) / m)
    return before - now, NORMAL_95 * error


def lost_share(before: float, n: int, now: float, m: int) -> tuple[float, float]:
    """The standard error is that of errors with a normal distribution."""
    if before <= 0:
        return (math.inf if now > 0 else 0.0), 0.0
    return now / before - 1, NORMAL_95 * math.sqrt(1 / (2 * n) + 1 / (2 * m))
