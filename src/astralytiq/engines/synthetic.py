"""Tables that are made up by a rule, from a seed: minutes of a driver's eyes, awake or drowsy.

Each row is a minute of the eye aspect ratio (EAR: `severity.py` says what it is, and its sources),
sampled as a camera would, and summed up as research on drowsiness does: PERCLOS, the share of the
minute with closed eyes (W. W. Wierwille et al., DOT HS 808 247, 1994), which followed lapses of
attention best among the measures that D. F. Dinges and R. Grace compared ("PERCLOS: A Valid
Psychophysiological Measure of Alertness As Assessed by Psychomotor Vigilance", FHWA-MCRT-98-006,
1998); how often eyes closed, and for how long at most.

The rule: a minute is `drowsy` if the eyes were closed for DROWSY_PERCLOS of it, or once for
MICROSLEEP seconds. Its figures are ours. What makes it worth learning is stated, too: the label
goes by what the eyes did, the features by what was seen of it. Each sample has noise; drivers look
down, which looks like closed eyes and is not; and MISLABELLED of the labels are turned round, so
that whoever is right about the others is wrong about these. Nobody was measured: a model of this
table shows how the platform works, and makes no claim of safety.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .severity import Rule
from .tabular.columns import Column

VERSION = 1  # Raised with each change of what comes out: data sets name it.
HERTZ, MINUTE = 20, 60.0
SAMPLES = int(HERTZ * MINUTE)
DROWSY_PERCLOS, MICROSLEEP = 0.15, 1.0
MISLABELLED = 0.05
AT_ONCE = 500  # rows
MOST_CLOSURES, MOST_GLANCES = 48, 4
LEVEL, CLOSED, DOWN, NOISE = (0.28, 0.36), (0.03, 0.15), (0.17, 0.26), 0.012

COLUMNS = [
    Column("ear_mean", "float64"),
    Column("ear_std", "float64"),
    Column("ear_min", "float64"),
    Column("blinks_per_minute", "float64"),
    Column("perclos", "float64"),
    Column("longest_closure_ms", "float64"),
    Column("state", "string"),
]
STATES = ("alert", "drowsy")

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Spans:
    """Times in each row's minute, from `starts` for `lengths` seconds; zero seconds are none."""

    starts: Floats
    lengths: Floats

    def seen(self) -> Flags:
        """(rows, samples): whether a sample lies in one of them."""
        begins = (self.starts * HERTZ).astype(np.int64)
        ends = np.minimum(((self.starts + self.lengths) * HERTZ).astype(np.int64), SAMPLES)
        changes = np.zeros((len(begins), SAMPLES + 1), dtype=np.int64)
        rows = np.arange(len(begins))[:, None]
        np.add.at(changes, (rows, begins), 1)
        np.add.at(changes, (rows, np.maximum(begins, ends)), -1)
        inside: Flags = np.cumsum(changes, axis=1)[:, :SAMPLES] > 0
        return inside


def drowsiness(rows: int, seed: int) -> dict[str, Any]:
    """Columns by name. The same rows and seed give the same table, as every 500 rows have a
    generator of their own."""
    blocks = [
        block(np.random.default_rng([seed, number]), min(AT_ONCE, rows - first))
        for number, first in enumerate(range(0, rows, AT_ONCE))
    ]
    return {column.name: np.concatenate([b[column.name] for b in blocks]) for column in COLUMNS}


def block(chance: np.random.Generator, rows: int) -> dict[str, NDArray[Any]]:
    closures = closed_times(chance, rows)
    asleep = closures.seen()
    ear = traced(chance, asleep, glances(chance, rows).seen())
    is_drowsy = (asleep.mean(axis=1) >= DROWSY_PERCLOS) | (longest(asleep) >= MICROSLEEP)
    is_drowsy ^= chance.random(rows) < MISLABELLED
    return {**measured(ear), "state": np.where(is_drowsy, STATES[1], STATES[0])}


def closed_times(chance: np.random.Generator, rows: int) -> Spans:
    """The sleepier, the more closures, the slower, and the more of them are sleep."""
    sleepy = chance.random((rows, 1))
    count = np.minimum(chance.poisson(12 + 10 * sleepy), MOST_CLOSURES)
    shape = (rows, MOST_CLOSURES)
    blinks = chance.uniform(0.1, 0.25 + 0.25 * sleepy, shape)
    naps = np.clip(chance.lognormal(0.2, 0.7, shape), 0.5, 15.0)
    lengths = np.where(chance.random(shape) < 0.12 * sleepy**2, naps, blinks)
    happened = np.arange(MOST_CLOSURES) < count
    return Spans(chance.uniform(0, MINUTE, shape), np.where(happened, lengths, 0.0))


def glances(chance: np.random.Generator, rows: int) -> Spans:
    """Eyes that look down, at the dashboard or a telephone."""
    shape = (rows, MOST_GLANCES)
    lengths = np.where(chance.random(shape) < 0.15, chance.uniform(0.4, 2.0, shape), 0.0)
    return Spans(chance.uniform(0, MINUTE, shape), lengths)


def traced(chance: np.random.Generator, asleep: Flags, down: Flags) -> Floats:
    """(rows, samples) of the ratio, at a level of each driver's own."""
    rows = (len(asleep), 1)
    level, closed, low = (chance.uniform(*span, rows) for span in (LEVEL, CLOSED, DOWN))
    ear = np.where(asleep, closed, np.where(down, low, level))
    return np.maximum(ear + chance.normal(0.0, NOISE, ear.shape), 0.0)


def measured(ear: Floats) -> dict[str, Floats]:
    """Rounded: what the last bits of a mean are depends on the processor."""
    closed = ear <= Rule().open_above
    begun = closed & ~np.roll(closed, 1, axis=1)
    begun[:, 0] = closed[:, 0]
    return {
        "ear_mean": ear.mean(axis=1).round(4),
        "ear_std": ear.std(axis=1).round(4),
        "ear_min": ear.min(axis=1).round(4),
        "blinks_per_minute": begun.sum(axis=1).astype(np.float64),
        "perclos": closed.mean(axis=1).round(4),
        "longest_closure_ms": (longest(closed) * 1000).round(1),
    }


def longest(closed: Flags) -> Floats:
    """Seconds of each row's longest closure."""
    run = np.zeros(len(closed), dtype=np.int64)
    most = run.copy()
    for sample in range(SAMPLES):
        run = np.where(closed[:, sample], run + 1, 0)
        np.maximum(most, run, out=most)
    found: Floats = most / HERTZ
    return found
