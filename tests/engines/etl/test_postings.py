"""Places in a segment: packed, united, found again."""

from hypothesis import given
from hypothesis import strategies as st

from astralytiq.engines.etl.postings import (
    BITMAP,
    SIZE,
    WHOLE,
    bits_of,
    entry,
    packed,
    places_of,
    places_of_hash,
    united,
)

Places = st.sets(st.integers(0, SIZE - 1), max_size=1200).map(sorted)
Digest = st.binary(min_size=8, max_size=8)


@given(st.lists(Places, max_size=4))
def test_what_was_packed_is_united(several: list[list[int]]) -> None:
    bits = united([packed(places) for places in several])
    assert list(places_of(bits)) == sorted(set().union(*several))
    assert bits == bits_of(sorted(set().union(*several)))


def test_only_a_bitmap_has_its_length() -> None:
    for size in (BITMAP // 2 - 1, BITMAP // 2, BITMAP // 2 + 1, SIZE):
        assert united([packed(range(size))]).bit_count() == size
    assert united([packed(range(SIZE))]) == WHOLE


@given(st.lists(st.tuples(Digest, st.integers(0, SIZE - 1)), min_size=1, max_size=50))
def test_a_hash_is_found_among_those_of_its_bucket(pairs: list[tuple[bytes, int]]) -> None:
    bucket = b"".join(entry(digest, place) for digest, place in pairs)
    wanted = pairs[0][0]
    same = {place for digest, place in pairs if entry(digest, 0) == entry(wanted, 0)}
    assert set(places_of(places_of_hash(bucket, wanted))) == same
