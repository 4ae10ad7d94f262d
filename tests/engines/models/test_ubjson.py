"""Universal Binary JSON as XGBoost writes it, and any other bytes."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.models import ubjson
from astralytiq.engines.models.ubjson import Damaged


def text(value: str) -> bytes:
    return b"L" + struct.pack(">q", len(value.encode())) + value.encode()


def test_all_that_it_may_hold_is_read() -> None:
    content = (
        b"{" + text("whole") + b"[i\xffU\xffI\xff\xfel\0\0\0\x02L" + b"\0" * 7 + b"\x03]"
        + text("real") + b"[#i\x02d" + struct.pack(">f", 0.5) + b"D" + struct.pack(">d", -0.1)
        + text("plain") + b"[ZTF]" + text("text") + b"S" + text("é")
        + text("typed") + b"[$d#L" + struct.pack(">q", 2) + struct.pack(">2f", 1, 2) + b"}"
    )  # fmt: skip
    found = ubjson.read(content)
    assert found["whole"] == [-1, 255, -2, 2, 3]
    assert found["real"] == [0.5, -0.1]
    assert found["plain"] == [None, True, False]
    assert found["text"] == "é"
    assert found["typed"].dtype == np.float32
    assert found["typed"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "too early"),
        (b"\x80\x04N.", "unknown type"),
        (b"{", "too early"),
        (b"{}{}", "more follows"),
        (b"[" * 100, "too deeply"),
        (b"[$d]", "without a length"),
        (b"[$Z#l\x7f\xff\xff\xff", "length that it does not have"),
        (b"[$Z#i\x00", "array of the type"),
        (b"[#L\x7f" + b"\xff" * 7, "length that it does not have"),
        (b"[#i\xff", "length that it does not have"),
        (b"S" + b"L\x7f" + b"\xff" * 7, "length that it does not have"),
        (b"Si\x01\xff", "no UTF-8"),
        (b"{$i#i\x01", "object of one type"),
        (b"{" + text("a") + b"Z" + text("a") + b"Z}", "twice"),
        (b"[$d#i\x05abcde", "too early"),
    ],
)
def test_23_damaged_files_are_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(Damaged, match=words):
        ubjson.read(content)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40).map(lambda tail: b"{" + tail) | st.binary(max_size=40))
def test_23_any_bytes_end_in_a_value_or_are_refused(content: bytes) -> None:
    with suppress(Damaged):
        ubjson.read(content)
