"""Payloads that stand as JSON texts: what computes with them all in C makes no objects of them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby
from typing import Any

import msgspec

from astralytiq.engines.etl import packing

SLICE = 250  # payloads of a text at most, which stay in the processor's cache
MANY = 4  # payloads of a text, of which one is asked for: fewer, and the others are read, too
raw_ones = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Payloads(Sequence[Any]):
    """Payloads slice by slice, read only where one is asked for.

    `texts`: JSON arrays, none of them empty, of at most SLICE payloads, as packing.written writes
    them; `sizes`: how many each holds. It equals any list of the same payloads.
    """

    def __init__(self, texts: list[bytes], sizes: list[int]) -> None:
        self.texts = texts
        self.sizes = sizes
        self._ends = list(accumulate(sizes))

    @classmethod
    def of(cls, payloads: Sequence[Any]) -> "Payloads":
        """Of those of Python; itself if it is one. That a payload is Bent does not outlast it."""
        if isinstance(payloads, Payloads):
            return payloads
        parts = [payloads[at : at + SLICE] for at in range(0, len(payloads), SLICE)]
        return cls(list(map(packing.written, parts)), list(map(len, parts)))

    @classmethod
    def joined(cls, parts: Iterable["Payloads"]) -> "Payloads":
        parts = list(parts)
        return cls(
            list(chain.from_iterable(part.texts for part in parts)),
            list(chain.from_iterable(part.sizes for part in parts)),
        )

    def __add__(self, other: "Payloads") -> "Payloads":
        return self.joined((self, other))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(map(packing.read, self.texts))

    def __getitem__(self, at: Any) -> Any:
        """One, or of a slice a list."""
        places = range(len(self))[at]
        return self.at(places) if isinstance(places, range) else self.at([places])[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Payloads) and self.texts == other.texts:
            return True
        return isinstance(other, (Payloads, list)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Payloads.of({list(self)!r})"

    def at(self, places: Sequence[int]) -> list[Any]:
        """Those at `places`, from 0; where few of a text are asked for the others are not read."""
        found: list[Any] = []
        for number, group in groupby(places, lambda place: bisect_right(self._ends, place)):
            start = self._ends[number] - self.sizes[number]
            found += of_text(self.texts[number], self.sizes[number], [p - start for p in group])
        return found


def of_text(text: bytes, size: int, places: Sequence[int]) -> list[Any]:
    if len(places) * MANY >= size:
        whole = packing.read(text)
        return [whole[place] for place in places]
    each = raw_ones(text)
    return packing.read(b"[" + b",".join(each[place] for place in places) + b"]")
