"""Equal values hash equally wherever they stand, and others differently."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astralytiq.engines.tabular import hashing


@settings(deadline=None)
@given(st.lists(st.text(max_size=40)))
def test_texts_share_a_hash_if_and_only_if_they_are_equal(texts: list[str]) -> None:
    hashes = hashing.of_texts(pa.array(texts, pa.string())).tolist()
    assert len(set(zip(texts, hashes, strict=True))) == len(set(texts)) == len(set(hashes))


def test_zeros_at_the_end_and_the_order_of_words_tell_texts_apart() -> None:
    texts = ["", "\0", "\0\0", "a", "a\0", "x" * 4096, "x" * 4097, "x" * 4098]
    one, two = "12345678", "87654321"
    texts += [one, one + one, two + two, one + two, two + one]
    assert len(set(hashing.of_texts(pa.array(texts)).tolist())) == len(texts)


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_a_text_hashes_alike_among_any_others_and_in_any_type(type_: Any) -> None:
    texts = pa.array(["first", "é" * 5000, "", "last one, longer than a word"])
    expected = hashing.of_texts(texts)
    assert (hashing.of_texts(texts.cast(type_)) == expected).all()
    assert (hashing.of_texts(texts.cast(type_).slice(1, 2)) == expected[1:3]).all()


def test_hashes_are_the_same_in_every_run_and_release() -> None:
    """Of equally common texts, they choose which a profile keeps."""
    assert hashing.of_texts(pa.array(["", "AstralytiQ", "x" * 5000])).tolist() == [
        16294208416658607535,
        789257438892565563,
        11660270167419290487,
    ]
    assert hashing.of_numbers(np.array([0, -1, 2**62])).tolist() == [
        16294208416658607535,
        16490336266968443936,
        47939714376772075,
    ]


def test_zeros_of_both_signs_are_one_value_and_so_are_all_nan() -> None:
    other_nan = np.array([0xFFF8000000000001], dtype=np.uint64).view(np.float64)[0]
    hashes = hashing.of_numbers(np.array([0.0, -0.0, np.nan, other_nan, 1.0])).tolist()
    assert hashes[0] == hashes[1]
    assert hashes[2] == hashes[3]
    assert len(set(hashes)) == 3
