"""How raw payloads are kept: a JSON array, zlib-compressed at its quickest level.

Whatever is broken stands as a list of its reason and payload: the others are objects.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from astralytiq.engines.etl.faults import Bent
from astralytiq.engines.etl.normalise import Broken


def written(payloads: Sequence[Any]) -> bytes:
    if {dict}.issuperset(map(type, payloads)):
        return msgspec.json.encode(payloads)
    return msgspec.json.encode([as_came(payload) for payload in payloads])


def as_came(payload: Any) -> Any:
    if isinstance(payload, Bent):
        return payload.payload
    return [payload.reason, payload.payload] if isinstance(payload, Broken) else payload


def joined(texts: Sequence[bytes]) -> bytes:
    """Arrays, none of them empty, as one."""
    return b"[" + b",".join(text[1:-1] for text in texts) + b"]"


def read(text: bytes) -> list[Any]:
    return [Broken(*one) if isinstance(one, list) else one for one in msgspec.json.decode(text)]


def closed(text: bytes) -> bytes:
    return zlib.compress(text, 1)


def opened(payload: bytes) -> list[Any]:
    return read(zlib.decompress(payload))


def packed(payloads: Sequence[Any]) -> bytes:
    return closed(written(payloads))


def unpacked(payload: bytes) -> list[Any]:
    """As they are kept: what is broken is a list."""
    found: list[Any] = msgspec.json.decode(zlib.decompress(payload))
    return found
