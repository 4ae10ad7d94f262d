"""Reads Universal Binary JSON (https://ubjson.org), in which XGBoost keeps its models.

XGBoost's own reader ends the whole process on some damaged files, so it never gets one of ours.
This one takes any bytes: nothing is made larger than the file allows, and what is wrong raises
ValueError.
"""

import struct
from typing import Any

import numpy as np

DEEPEST = 32
# Of a number: its type in a file, where the first byte is the highest.
NUMBERS = {
    b"i": ">i1",
    b"U": ">u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
WHOLE = frozenset(b"iUIlL")
FORMATS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
PLAIN = {b"Z": None, b"T": True, b"F": False}


class Damaged(ValueError):
    """These bytes are no such file."""


def read(content: bytes) -> Any:
    """Objects as dicts, arrays of one type as arrays of NumPy, all others as lists."""
    reader = Reader(content)
    found = reader.value(reader.take(1), DEEPEST)
    if reader.at != len(content):
        raise Damaged("more follows behind the end of the model")
    return found


class Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, size: int) -> bytes:
        found = self.content[self.at : self.at + size]
        if len(found) != size:
            raise Damaged("it ends too early")
        self.at += size
        return found

    def goes_on_with(self, mark: bytes) -> bool:
        found = self.content[self.at : self.at + 1] == mark
        self.at += found
        return found

    def value(self, mark: bytes, deep: int) -> Any:
        if mark in PLAIN:
            return PLAIN[mark]
        if mark in FORMATS:
            return self.number(mark)
        if mark == b"S":
            return self.text()
        if deep == 0:
            raise Damaged("it is nested too deeply")
        if mark == b"{":
            return self.mapping(deep - 1)
        if mark == b"[":
            return self.sequence(deep - 1)
        raise Damaged(f"it holds a value of the unknown type {mark!r}")

    def number(self, mark: bytes) -> Any:
        form = FORMATS[mark]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def size(self) -> int:
        mark = self.take(1)
        found = self.number(mark) if mark in FORMATS and mark[0] in WHOLE else -1
        if not 0 <= found <= len(self.content) - self.at:
            raise Damaged("it ends too early, or tells a length that it does not have")
        return int(found)

    def text(self) -> str:
        try:
            return self.take(self.size()).decode()
        except UnicodeDecodeError:
            raise Damaged("it holds text that is no UTF-8") from None

    def mapping(self, deep: int) -> dict[str, Any]:
        if self.goes_on_with(b"$"):
            raise Damaged("it holds an object of one type, which XGBoost does not write")
        count = self.size() if self.goes_on_with(b"#") else None
        found: dict[str, Any] = {}
        while not self.ended(len(found), count, b"}"):
            name = self.text()
            if name in found:
                raise Damaged(f"it names {name!r} twice")
            found[name] = self.value(self.take(1), deep)
        return found

    def sequence(self, deep: int) -> Any:
        kind = self.take(1) if self.goes_on_with(b"$") else None
        count = self.size() if self.goes_on_with(b"#") else None
        if kind is not None:
            return self.numbers(kind, count)
        found: list[Any] = []
        while not self.ended(len(found), count, b"]"):
            found.append(self.value(self.take(1), deep))
        return found

    def ended(self, held: int, count: int | None, mark: bytes) -> bool:
        return self.goes_on_with(mark) if count is None else held == count

    def numbers(self, kind: bytes, count: int | None) -> Any:
        if kind not in NUMBERS or count is None:
            raise Damaged(f"it holds an array of the type {kind!r} or without a length")
        dtype = np.dtype(NUMBERS[kind])
        found = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return found.astype(dtype.newbyteorder("="))
