"""What the texts of a column are like: how long, how many blank or padded, and what they say.

A column of text whose values nearly all read as one thing (a number, a date) is meant to be one:
the others are then likely faults. That is looked for only where a first sample suggests it.
"""
# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hashing import Cells
from .reading import Part

DAY = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?"
# In this order: the first that fits a sample is what a column is held to be.
MEANINGS = {
    "bool": r"(?i)true|false",
    "integer": r"[+-]?\d+",
    "number": r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?",
    "date": DAY,
    "timestamp": rf"{DAY}[T ]{CLOCK}",
    "uuid": r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "email": r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+",
}
# 00123 is a name written in digits: a column with such ones is none of numbers.
CODE = r"^[+-]?0\d"
GUESSED = tuple(name for name in MEANINGS if name != "integer")
SAMPLE = 1000
SUSPECTED = 0.9  # of a sample
SURE = 0.95  # of the column


@dataclass(frozen=True)
class Texts:
    """`padded`: with whitespace around; `blank`: nothing but whitespace, or nothing at all.

    `looks_like`: bool, number, date, timestamp, uuid or email, where more than 95 % of the values
    that are not blank read so; `misfits` are the others. Lengths are in characters.
    """

    shortest: int
    longest: int
    mean_length: float
    blank: int
    padded: int
    looks_like: str | None
    misfits: int


def trimmed(texts: Cells) -> Cells:
    import pyarrow.compute as pc

    found: Cells = pc.utf8_trim_whitespace(texts)
    return found


def flags(found: Any) -> NDArray[np.bool_]:
    answer: NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return answer


def is_empty(texts: Cells) -> NDArray[np.bool_]:
    import pyarrow as pa
    import pyarrow.compute as pc

    return flags(pc.equal(texts, pa.scalar("")))


def reads_as(texts: Cells, meaning: str) -> NDArray[np.bool_]:
    """Of trimmed texts. RE2 matches in linear time, whatever the text."""
    import pyarrow.compute as pc

    return flags(pc.match_substring_regex(texts, f"^(?:{MEANINGS[meaning]})$"))


def sample_of(part: Part) -> NDArray[Any]:
    """Which of its words some rows have, spread over the part."""
    places = part.encoded[1]
    rows = np.linspace(0, len(places) - 1, min(SAMPLE, len(places))).astype(np.int64)
    words: NDArray[Any] = places[rows]
    return words


def guess(sample: Cells) -> str | None:
    """Of trimmed texts: what they read as."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sample = sample.filter(pc.not_equal(sample, pa.scalar("")))
    if len(sample) == 0:
        return None
    return next((one for one in GUESSED if reads_as(sample, one).mean() >= SUSPECTED), None)


class Gatherer:
    """Learns what the parts of one column of text are like."""

    def __init__(self) -> None:
        self.blank = self.padded = self.texts = self.characters = self._matches = 0
        self.shortest, self.longest = np.iinfo(np.int64).max, 0
        self._meaning: str | None = None
        self._guessed = False

    def add(self, part: Part) -> None:
        import pyarrow.compute as pc

        words, counts = part.encoded[0], part.counts
        if len(words) == 0:
            return
        counted: Any = pc.utf8_length(words)
        lengths = counted.to_numpy(zero_copy_only=False)
        self.shortest = min(self.shortest, int(lengths.min()))
        self.longest = max(self.longest, int(lengths.max()))
        self.texts += int(counts.sum())
        self.characters += int(lengths.astype(np.int64) @ counts)
        bare = trimmed(words)
        self.padded += int(counts[flags(pc.not_equal(bare, words))].sum())
        self.blank += int(counts[is_empty(bare)].sum())
        self._match(part, bare)

    def _match(self, part: Part, bare: Cells) -> None:
        import pyarrow.compute as pc

        if not self._guessed:
            self._meaning, self._guessed = guess(bare.take(sample_of(part))), True
        if self._meaning == "number" and flags(pc.match_substring_regex(bare, CODE)).any():
            self._meaning = None
        if self._meaning:
            self._matches += int(part.counts[reads_as(bare, self._meaning)].sum())

    def found(self) -> Texts | None:
        if not self.texts:
            return None
        said = self.texts - self.blank
        sure = self._meaning is not None and self._matches > SURE * said
        return Texts(
            shortest=int(self.shortest),
            longest=self.longest,
            mean_length=self.characters / self.texts,
            blank=self.blank,
            padded=self.padded,
            looks_like=self._meaning if sure else None,
            misfits=said - self._matches if sure else 0,
        )
