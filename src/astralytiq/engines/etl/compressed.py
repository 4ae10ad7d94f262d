"""gzip and zstd, told by their first bytes: unpacked while they are read, never without bound."""

import gzip
import io
import zlib
from typing import Any, BinaryIO, Protocol

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Text packs to a tenth, a log that repeats itself to a hundredth; a bomb to a thousandth.
MOST_RATIO = 300
RATIO_FROM = 4 << 20
MOST_UNPACKED = 256 << 30
PIECE = 1 << 14  # of zstd, which loses what it has unpacked in the call that fails


class Damaged(ValueError):
    """What could be read came before; the rest never will."""


class Readable(Protocol):
    """What gives at most `size` bytes, and none only at its end."""

    def read1(self, size: int, /) -> bytes: ...


class Unpacking:
    """A packed stream as the bytes inside it. Raises Damaged where it breaks or swells."""

    def __init__(self, packed: BinaryIO, inner: Readable, piece: int | None = None) -> None:
        self._packed = packed
        self._inner = inner
        self._piece = piece
        self._total = 0

    def read1(self, size: int, /) -> bytes:
        try:
            found = self._inner.read1(self._piece or size)
        except EOFError:
            raise Damaged("it is cut off: its packed data ends too early") from None
        except (OSError, ValueError, zlib.error):
            raise Damaged("its packed data is damaged or cut off") from None
        self._total += len(found)
        self._refuse_bomb()
        return found

    def _refuse_bomb(self) -> None:
        if self._total > MOST_UNPACKED:
            raise Damaged(f"it unpacks to more than {MOST_UNPACKED >> 30} GB: split it")
        if self._total > RATIO_FROM and self._total > MOST_RATIO * self._packed.tell():
            raise Damaged(
                f"it unpacks to more than {MOST_RATIO} times its size: if that is no mistake, "
                "unpack it first"
            )


def unpacked(binary: io.BufferedReader) -> Readable:
    """The bytes of a stream, packed or not."""
    head = binary.peek(len(ZSTD))
    if head.startswith(GZIP):
        return Unpacking(binary, gzip.GzipFile(fileobj=binary))
    if head.startswith(ZSTD):
        import pyarrow as pa  # noqa: PLC0415  (heavy, and few files are zstd)

        inner: Any = pa.CompressedInputStream(binary, "zstd")
        return Unpacking(binary, inner, PIECE)
    return binary


def whole(body: bytes, most: int) -> bytes:
    """A whole answer unpacked, while it stays below `most` bytes."""
    source = unpacked(io.BufferedReader(io.BytesIO(body)))
    found = bytearray()
    while part := source.read1(1 << 18):
        found += part
        if len(found) > most:
            raise Damaged(f"it unpacks to more than {most >> 20} MB")
    return bytes(found)
