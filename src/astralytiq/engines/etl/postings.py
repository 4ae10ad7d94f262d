"""Which records of a segment hold a word: short lists of places, or a bit for each place.

A set of places is an integer, bit by bit: Python unites, intersects and counts those in C.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

SHIFT = 13  # A segment is 8,192 ids that follow one another.
SIZE = 1 << SHIFT
BITMAP = SIZE // 8  # bytes
WHOLE = (1 << SIZE) - 1
ONE = ord("1")
FEW = 64  # up to so many places bit by bit
TAIL = 6  # bytes of a hash beyond its bucket; with its place an entry has 8


def packed(places: Sequence[int]) -> bytes:
    """Ascending places, in whichever form is shorter: only a bitmap has its length."""
    if len(places) * 2 < BITMAP:
        return little_endian(array("H", places)).tobytes()
    bits = bytearray(BITMAP)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def little_endian(places: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        places.byteswap()
    return places


def united(postings: Iterable[bytes]) -> int:
    """The places that stand in any of them."""
    whole, short = 0, bytearray()
    for posting in postings:
        if len(posting) == BITMAP:
            whole |= int.from_bytes(posting, "little")
        else:
            short += posting
    return whole | bits_of(little_endian(array("H", bytes(short))))


def bits_of(places: Sequence[int]) -> int:
    """Of many places written out as digits first, which costs 20 µs at once but less for each."""
    if len(places) > FEW:
        digits = bytearray(b"0" * SIZE)
        for place in places:
            digits[~place] = ONE
        return int(digits, 2)
    bits = bytearray(BITMAP)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(bits, "little")


def places_of(bits: int) -> Iterator[int]:
    """In ascending order."""
    if bits.bit_count() <= FEW:
        while bits:
            lowest = bits & -bits
            yield lowest.bit_length() - 1
            bits ^= lowest
        return
    digits = f"{bits:b}"[::-1]
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)


def entry(digest: bytes, place: int) -> bytes:
    """Of a hash whose first byte is its bucket: what follows that byte, and the place."""
    return digest[1 : 1 + TAIL] + place.to_bytes(2, "little")


def places_of_hash(bucket: bytes, digest: bytes) -> int:
    """The places of one hash among the entries of its bucket."""
    tail, width, bits = digest[1 : 1 + TAIL], TAIL + 2, 0
    at = bucket.find(tail)
    while at >= 0:
        if at % width == 0:
            bits |= 1 << int.from_bytes(bucket[at + TAIL : at + width], "little")
        at = bucket.find(tail, at + 1)
    return bits
