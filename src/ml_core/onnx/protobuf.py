"""The few forms of protobuf that a model needs, written directly.

A message is its fields one behind the other in any order; a field is a key, made of its number and
of the form of what follows, and then that. https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_VARINT, _BYTES = 0, 2
_SEPTET = 7


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    rest, septets = value % 2**64, bytearray()
    while rest >= 1 << _SEPTET:
        septets.append(rest % (1 << _SEPTET) | 1 << _SEPTET)
        rest >>= _SEPTET
    septets.append(rest)
    return bytes(septets)


def varints(values: ArrayLike) -> bytes:
    """Many of them at once: millions take a second, one by one they would take a minute."""
    rest = np.asarray(values, dtype=np.int64).astype(np.uint64)
    width = len(varint(int(rest.max(initial=0))))
    shifts = np.arange(width, dtype=np.uint64) * np.uint64(_SEPTET)
    shifted = rest[:, None] >> shifts
    follows = np.zeros(shifted.shape, dtype=np.bool_)
    follows[:, :-1] = shifted[:, 1:] > 0
    septets = (shifted & np.uint64(0x7F)).astype(np.uint8) | (follows * np.uint8(0x80))
    # The first byte always stands, each other one if the byte before it says so.
    stands = np.ones(shifted.shape, dtype=np.bool_)
    stands[:, 1:] = follows[:, :-1]
    return bytes(septets[stands])


def integer(field: int, value: int) -> bytes:
    return varint(field << 3 | _VARINT) + varint(value)


def text(field: int, value: str) -> bytes:
    return packed(field, value.encode())


def message(field: int, *parts: bytes) -> bytes:
    """A message within a message, given by its fields."""
    return packed(field, b"".join(parts))


def packed(field: int, content: bytes) -> bytes:
    return varint(field << 3 | _BYTES) + varint(len(content)) + content


def integers(field: int, values: ArrayLike) -> bytes:
    return packed(field, varints(values))


def floats(field: int, values: NDArray[np.float32]) -> bytes:
    return packed(field, values.astype("<f4").tobytes())


def texts(field: int, values: Sequence[str]) -> bytes:
    """One field for each; the same text is made only once."""
    made: dict[str, bytes] = {}
    for value in values:
        if value not in made:
            made[value] = text(field, value)
    return b"".join(made[value] for value in values)
