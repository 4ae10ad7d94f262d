"""How raw payloads are kept: a JSON array, zlib-compressed at its quickest level."""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec


def packed(payloads: Sequence[Any]) -> bytes:
    return zlib.compress(msgspec.json.encode(payloads), 1)


def unpacked(payload: bytes) -> list[Any]:
    found: list[Any] = msgspec.json.decode(zlib.decompress(payload))
    return found
