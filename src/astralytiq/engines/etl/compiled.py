"""Payloads become rows in C: what `Normaliser.one` makes of them, from their JSON texts.

Whatever is unusual in a payload is left, and handed back by its place. Ingestion's kernels know no
Python (native/rows.h); here is what they share with it.
"""

import ctypes
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from astralytiq.engines.etl.native import KERNELS
from astralytiq.engines.etl.normalise import FIELDS, Normaliser
from astralytiq.engines.etl.payloads import Payloads
from astralytiq.engines.etl.values import from_csv

MOST_KEYS = 8
READ_ONLY = 0x100  # PyBUF_READ
texts_in = msgspec.json.Decoder(list[str]).decode
tuples_in = msgspec.json.Decoder(list[tuple[Any, ...]]).decode


class Text(ctypes.Structure):
    _fields_ = (("at", ctypes.c_char_p), ("size", ctypes.c_int64))


class Path(ctypes.Structure):
    """As rows.h has it."""

    _fields_ = (("whole", Text), ("steps", ctypes.POINTER(Text)), ("n_steps", ctypes.c_int64))


class Way(ctypes.Structure):
    """As rows.h has it."""

    _fields_ = (
        ("fields", Path * len(FIELDS)),
        ("keys", ctypes.POINTER(Path)),
        ("let_in", ctypes.POINTER(Text)),
        ("n_keys", ctypes.c_int64),
        ("n_let_in", ctypes.c_int64),
        ("source", Text),
        ("named_by_key", Text),
        ("cells", ctypes.c_int32),
        ("for_sqlite", ctypes.c_int32),
    )


class Buffer(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_void_p), ("size", ctypes.c_int64), ("room", ctypes.c_int64))


class Work(ctypes.Structure):
    """The beginning of what rows.h has: what is answered."""

    _fields_ = (
        ("ids", Buffer),
        ("hashes", Buffer),
        ("rows", Buffer),
        ("left", Buffer),
        ("n_payloads", ctypes.c_int64),
    )


@dataclass(frozen=True)
class Made:
    """What the kernel has made of a batch; `rows` are none of a lean one.

    `left` are the places of the payloads it has left, whose records are missing in the others.
    """

    ids: list[str]
    hashes: list[str]
    rows: list[Any]
    left: list[int]


class Kernel:
    """Makes rows of the payloads of one source."""

    def __init__(self, library: ctypes.CDLL, way: Way, *, plainly: bool = False) -> None:
        self._prepare, self._rest = library.rows_prepare, library.rows_rest
        self._way = way
        self._read = tuples_in if way.for_sqlite else lines_in
        library.rows_new.restype = ctypes.c_void_p
        self._work = ctypes.c_void_p(library.rows_new(plainly))
        if not self._work:
            raise MemoryError
        weakref.finalize(self, library.rows_free, self._work)
        # A batch may be prepared once more while the one behind it is.
        self._one_at_a_time = threading.Lock()

    def made(self, payloads: Payloads, *, lean: bool = False) -> Made | None:
        """None where Python has to look at all of them."""
        each = [Text(text, len(text)) for text in payloads.texts]
        texts = (Text * len(each))(*each)
        with self._one_at_a_time:
            try:
                fault = self._prepare(
                    self._work, ctypes.byref(self._way), texts, ctypes.c_int64(len(each)), lean
                )
                found = Work.from_address(self._work.value or 0)
                if fault or found.n_payloads != len(payloads):
                    return None
                return self._read_made(found, lean)
            finally:
                self._rest(self._work)

    def _read_made(self, found: Any, lean: bool) -> Made:
        return Made(
            ids=texts_in(seen(found.ids)),
            hashes=texts_in(seen(found.hashes)),
            rows=[] if lean else self._read(seen(found.rows)),
            left=seen(found.left).cast("q").tolist(),
        )


def kernel_of(
    normaliser: Normaliser,
    *,
    for_sqlite: bool,
    library: ctypes.CDLL | None = None,
    plainly: bool = False,
) -> Kernel | None:
    """None where there is no build, or where the key has more fields than any table's."""
    found = library or KERNELS.library()
    if found is None or len(normaliser.primary_key) > MOST_KEYS:
        return None
    return Kernel(found, way_of(normaliser, for_sqlite=for_sqlite), plainly=plainly)


def way_of(normaliser: Normaliser, *, for_sqlite: bool) -> Way:
    keys = normaliser.primary_key
    # In the order that they have as they stand in JSON.
    let_in = None if normaliser.let_in is None else sorted(map(in_json, normaliser.let_in))
    return Way(
        fields=(Path * len(FIELDS))(*(path_of(normaliser.paths[field]) for field in FIELDS)),
        keys=(Path * len(keys))(*map(path_of, keys)),
        let_in=None if let_in is None else (Text * len(let_in))(*map(text_of, let_in)),
        n_keys=len(keys),
        n_let_in=len(let_in or ()),
        source=named(normaliser.source),
        named_by_key=text_of(f"{normaliser.source}\n".encode()),
        cells=normaliser.convert is from_csv,
        for_sqlite=for_sqlite,
    )


def path_of(path: str) -> Path:
    steps = path.split(".")
    return Path(named(path), (Text * len(steps))(*map(named, steps)), len(steps))


def named(name: str) -> Text:
    return text_of(in_json(name))


def in_json(name: str) -> bytes:
    """As it stands between the quotes of JSON."""
    return msgspec.json.encode(name)[1:-1]


def text_of(content: bytes) -> Text:
    return Text(content, len(content))


def seen(buffer: Any) -> memoryview:
    """What a buffer holds, where it stands."""
    if not buffer.size:
        return memoryview(b"")
    view: memoryview = view_of(buffer.bytes, buffer.size, READ_ONLY)
    return view


def lines_in(text: memoryview) -> list[str]:
    return str(text, "utf-8").split("\n")[:-1]


view_of: Callable[..., memoryview] = ctypes.pythonapi.PyMemoryView_FromMemory
view_of.restype = ctypes.py_object  # type: ignore[attr-defined]
view_of.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)  # type: ignore[attr-defined]
