"""Rows of a CSV file as JSON by a compiled kernel (native/csv.c), a block of bytes at a time.

It takes what is plain and no more: a record that it leaves is for csv_rows.py, which it agrees with
in every other.
"""

import csv
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from astralytiq.engines.etl.native import KERNELS
from astralytiq.engines.etl.payloads import SLICE, Payloads

ROOM = 2 << 20  # bytes of JSON that one call may write
MOST_TEXTS = 1 << 10
LEFT_TO_PYTHON = 3


class Form(ctypes.Structure):
    _fields_ = (
        ("names", ctypes.c_char_p),
        ("name_ends", ctypes.POINTER(ctypes.c_int64)),
        ("n_columns", ctypes.c_int64),
        ("longest_cell", ctypes.c_int64),
        ("longest_record", ctypes.c_int64),
        ("delimiter", ctypes.c_int32),
        ("quote", ctypes.c_int32),
    )


class Block(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("last", ctypes.c_int32),
    )


class Texts(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("ends", ctypes.POINTER(ctypes.c_int64)),
        ("sizes", ctypes.POINTER(ctypes.c_int64)),
        ("most_texts", ctypes.c_int64),
        ("most_rows", ctypes.c_int64),
        ("slice", ctypes.c_int64),
        ("n_texts", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("taken", ctypes.c_int64),
        ("lines", ctypes.c_int64),
    )


@dataclass(frozen=True)
class Taken:
    """What stood in the first `size` bytes and `lines` lines of a block.

    `left_to_python`: the record behind them is; else it is not whole, or there was enough.
    """

    payloads: Payloads
    size: int
    lines: int
    left_to_python: bool


class CompiledCsv:
    """The kernel for files that are written in one way."""

    def __init__(
        self, take: Any, header: Sequence[str], delimiter: str, quote: str | None, longest: int
    ) -> None:
        self._take = take
        names = [msgspec.json.encode(name) for name in header]
        before = [b'",' + name + b':"' for name in names]
        before[0] = b"{" + names[0] + b':"'
        ends = list(accumulate(map(len, before)))
        self._form = Form(
            names=b"".join(before),
            name_ends=(ctypes.c_int64 * len(ends))(*ends),
            n_columns=len(ends),
            longest_cell=csv.field_size_limit(),
            longest_record=longest,
            delimiter=ord(delimiter),
            quote=ord(quote) if quote else -1,
        )
        self._written = (ctypes.c_char * ROOM)()
        self._texts = Texts(
            bytes=ctypes.addressof(self._written),
            room=ROOM,
            ends=(ctypes.c_int64 * MOST_TEXTS)(),
            sizes=(ctypes.c_int64 * MOST_TEXTS)(),
            most_texts=MOST_TEXTS,
            slice=SLICE,
        )

    def take(self, block: bytes, start: int, most: int, *, last: bool) -> Taken:
        """At most so many rows of the block from `start` on; `last`: behind it the stream ends."""
        first = ctypes.cast(ctypes.c_char_p(block), ctypes.c_void_p).value or 0
        texts = self._texts
        texts.most_rows = most
        given = Block(first + start, len(block) - start, last)
        status = self._take(ctypes.byref(self._form), ctypes.byref(given), ctypes.byref(texts))
        ends = texts.ends[: texts.n_texts]
        written = memoryview(self._written)
        found = [bytes(written[at:end]) for at, end in pairwise((0, *ends))]
        return Taken(
            Payloads(found, texts.sizes[: texts.n_texts]),
            texts.taken,
            texts.lines,
            status == LEFT_TO_PYTHON,
        )


def compiled_csv(
    header: Sequence[str], delimiter: str, quote: str | None, longest: int
) -> CompiledCsv | None:
    """None if there is no kernel for files so written, or none at all.

    `longest`: of a record, in bytes.
    """
    library = KERNELS.library()
    marks = (delimiter, quote or "")
    plain = all(mark.isascii() and mark not in ("\r", "\n", "\0") for mark in marks)
    if library is None or not plain or delimiter == quote:
        return None
    if not header or len(set(header)) < len(header) or longest < 1:
        return None
    try:
        return CompiledCsv(library.csv_take, header, delimiter, quote, longest)
    except UnicodeEncodeError:  # A name that is no text: so are all rows.
        return None
