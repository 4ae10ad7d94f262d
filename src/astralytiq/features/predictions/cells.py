"""Rows that were predicted, counted between the values that the training data is known at.

A profile knows the distribution of a column exactly at up to 129 of its values. Live values are
counted below, at, between and above these: so the live distribution is exact at the same values,
and adds up over hours. Imports NumPy: those who count import this in a function.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from astralytiq.engines.tabular import drift
from astralytiq.engines.tabular.histograms import Distribution
from astralytiq.engines.tabular.profile import ColumnProfile, TableProfile, Value

from . import tallies
from .tallies import Tally

Floats = NDArray[np.float64]
Key = tuple[int, datetime]  # a model version, and an hour


@dataclass(frozen=True)
class Stored:
    """A prediction as its row holds it; JSON as text, to be read away from the event loop."""

    model_version_id: int
    created_at: datetime
    latency_ms: float
    inputs: str
    outputs: str


@dataclass(frozen=True)
class Baseline:
    """What a version is compared with: its training data, and what it predicted of held-out rows.

    `profile` is None while the data set version is not measured; `labels` and `predicted` are of
    predictions, and `against` says which.
    """

    profile: TableProfile | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    predicted: Distribution | None = None
    against: str = ""

    def edges(self, name: str) -> Floats | None:
        return edges_of(self.profile.column(name)) if self.profile else None

    @property
    def predicted_edges(self) -> Floats | None:
        return np.array(self.predicted.edges, dtype=np.float64) if self.predicted else None


def edges_of(column: ColumnProfile | None) -> Floats | None:
    if column is None:
        return None
    if column.distribution:
        return np.array(column.distribution.edges, dtype=np.float64)
    return np.array([0.0, 1.0]) if column.kind == "bool" else None


# Counting ---------------------------------------------------------------------------------------


def counted(stored: Sequence[Stored], baselines: Mapping[int, Baseline]) -> dict[Key, Tally]:
    """The statistics of each version and hour."""
    groups: defaultdict[Key, list[Stored]] = defaultdict(list)
    for one in stored:
        hour = one.created_at.replace(minute=0, second=0, microsecond=0)
        groups[one.model_version_id, hour].append(one)
    return {key: statistics(group, baselines[key[0]]) for key, group in groups.items()}


def statistics(group: Sequence[Stored], baseline: Baseline) -> Tally:
    inputs = [msgspec.json.decode(one.inputs) for one in group]
    outputs = [msgspec.json.decode(one.outputs) for one in group]
    columns: list[str] = inputs[0]["columns"]  # Of one version all name the same.
    matrix = np.array([row for one in inputs for row in one["data"]], dtype=np.float64)
    labels = [label for one in outputs for label in one["predictions"]]
    return {
        "requests": len(group),
        "rows": len(labels),
        "latency": tallies.latency([round(one.latency_ms * 1000) for one in group]),
        "features": {
            name: spread(values, baseline.edges(name))
            for name, values in zip(columns, matrix.T, strict=True)
        },
        **answered(labels, baseline, numbers=not outputs[0]["classes"]),
    }


def answered(labels: list[Any], baseline: Baseline, *, numbers: bool) -> Tally:
    if not numbers:
        return {"labels": tallies.counted_labels(labels)}
    return {"numbers": spread(np.array(labels, dtype=np.float64), baseline.predicted_edges)}


def spread(values: Floats, edges: Floats | None) -> Tally:
    """Cell 2i + 1 holds what equals edge i, cell 2i what lies between it and the one before."""
    if edges is None:
        return {"unbinned": len(values)}
    values = values[np.isfinite(values)]  # What a regression cannot say is stored as null.
    if not len(values):
        return {}
    left, right = (np.searchsorted(edges, values, side=side) for side in ("left", "right"))
    places, counts = np.unique(left + right, return_counts=True)
    low, high = float(values.min()), float(values.max())
    return {
        "cells": {str(at): count for at, count in zip(places, counts.tolist(), strict=True)},
        "low": [low, int((values == low).sum())],
        "high": [high, int((values == high).sum())],
    }


# Reading ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Live:
    """What was counted of a column or of predicted numbers."""

    rows: int
    distribution: Distribution | None
    at: Floats  # how many rows equal each edge of the baseline
    below: int  # the least value of the training data
    above: int  # the greatest

    @property
    def unseen(self) -> int:
        """Rows whose value is no edge: of a column of few values, one that training never had."""
        return self.rows - int(self.at.sum())


def live(tally: Tally, edges: Floats) -> Live:
    counts = np.zeros(2 * len(edges) + 1, dtype=np.int64)
    for place, count in tally.get("cells", {}).items():
        counts[int(place)] = count
    rows = int(counts.sum())
    known = distribution(counts, edges, tally) if rows else None
    return Live(rows, known, counts[1::2].astype(np.float64), int(counts[0]), int(counts[-1]))


def distribution(counts: NDArray[np.int64], edges: Floats, tally: Tally) -> Distribution:
    """At the edges of the baseline, and at the extremes where these lie beyond."""
    so_far = np.cumsum(counts)
    names, below, up_to = edges.tolist(), so_far[:-1:2].tolist(), so_far[1::2].tolist()
    if counts[0]:
        least, times = tally["low"]
        names, below, up_to = [least, *names], [0, *below], [times, *up_to]
    if counts[-1]:
        greatest, times = tally["high"]
        rows = int(so_far[-1])
        names, below, up_to = [*names, greatest], [*below, rows - times], [*up_to, rows]
    return Distribution(names, below, up_to)


def profile_of(found: Live, known: ColumnProfile) -> ColumnProfile:
    """The live column in the words of the training data's profile, so that drift can be told.

    Of listed columns every known value has its own count, and what training never had is the rest.
    """
    top: list[Value] = []
    edges = cast(Floats, edges_of(known)).tolist()
    if known.kind == "bool" or drift.is_listed(known):
        counts = dict(zip(edges, found.at.tolist(), strict=True))
        top = [Value(one.value, int(counts.get(float(one.value), 0))) for one in known.top]
    there: dict[str, Any] = {"distribution": found.distribution, "top": top, "distinct": len(top)}
    return replace(known, nulls=0, nan=0, infinite=0, texts=None, true_share=None, **there)
