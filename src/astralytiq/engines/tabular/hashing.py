"""64-bit hashes of many values at once: what is equal hashes equally, in every run and release.

They stand for values where only equality counts: distinct texts, repeated rows, keys of another
table. Of n different values two share a hash with a chance of about n * n / 2**65: for 5 million
one in a million. Texts are hashed side by side, eight bytes of each at a time: as many steps as
the longest has words, each over whole arrays.
"""

# ruff: noqa: PLC0415 - pyarrow takes 0.2 s and 50 MB: only those who touch data pay for it

import hashlib
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Ints: TypeAlias = NDArray[np.int64]
# An Arrow array. (Stubs of Arrow refuse kernels on arrays whose type is not known.)
Cells: TypeAlias = Any

LONG_BYTES = 4096  # A text beyond that is hashed on its own: the others would wait for it.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NULL = np.uint64(0x6E756C6C)
# The bytes of a little-endian word that belong to a text with so many bytes left.
MASKS = np.array([(1 << (8 * left)) - 1 for left in range(9)], dtype=np.uint64)


def mixed(words: Words) -> Words:
    """Each word stirred until every bit depends on every bit (splitmix64, Steele et al. 2014)."""
    stirred = words + GOLDEN
    stirred ^= stirred >> np.uint64(30)
    stirred *= np.uint64(0xBF58476D1CE4E5B9)
    stirred ^= stirred >> np.uint64(27)
    stirred *= np.uint64(0x94D049BB133111EB)
    stirred ^= stirred >> np.uint64(31)
    return stirred


def of_numbers(values: NDArray[Any]) -> Words:
    """Of 64-bit numbers. 0.0 and -0.0 are one value, and so are all NaN."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.float64("nan"), values + 0.0)
    return mixed(np.ascontiguousarray(values).view(np.uint64))


def of_texts(texts: Cells) -> Words:
    """Of an Arrow array of strings or bytes without nulls."""
    ends, data = layout(texts)
    starts, lengths = ends[:-1], np.diff(ends)
    long = np.flatnonzero(lengths > LONG_BYTES)
    hashes = mixed(lengths.astype(np.uint64))
    if len(long) == 0:
        of_short(starts, lengths, data, hashes)
        return hashes
    short = np.flatnonzero(lengths <= LONG_BYTES)
    hashes[short] = of_short(starts[short], lengths[short], data, hashes[short])
    for row in long.tolist():
        hashes[row] = of_long(data[ends[row] : ends[row + 1]])
    return hashes


def layout(texts: Cells) -> tuple[Ints, NDArray[np.uint8]]:
    """Where each text ends (with a 0 before the first), and the bytes of all."""
    import pyarrow as pa

    if len(texts) == 0:
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, places, data = texts.buffers()
    ends = np.frombuffer(places, dtype=np.int64 if wide else np.int32)
    ends = ends[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    held = np.frombuffer(data, dtype=np.uint8) if data else np.zeros(0, dtype=np.uint8)
    return ends - ends[0], held[ends[0] : ends[-1]]


def of_short(starts: Ints, lengths: Ints, data: NDArray[np.uint8], hashes: Words) -> Words:
    """Stirs word after word of each text into its hash, in place."""
    padded = np.concatenate([data, np.zeros(8, dtype=np.uint8)])
    words: Words = np.ndarray(len(data) + 1, dtype="<u8", buffer=padded.data, strides=(1,))
    for at in range(0, int(lengths.max(initial=0)), 8):
        going = lengths > at
        # A slice of all is several times as fast as an array of all.
        rows: Any = slice(None) if going.all() else np.flatnonzero(going)
        left = np.minimum(lengths[rows] - at, 8)
        hashes[rows] = mixed(hashes[rows] ^ (words[starts[rows] + at] & MASKS[left]))
    return hashes


def of_long(data: NDArray[np.uint8]) -> np.uint64:
    digest = hashlib.blake2b(data.tobytes(), digest_size=8).digest()
    word: np.uint64 = np.frombuffer(digest, dtype="<u8")[0]
    return word


def seed(place: int) -> np.uint64:
    """What tells a value in one column from the same value in another."""
    word: np.uint64 = mixed(np.array([place + 1], dtype=np.uint64))[0]
    return word
